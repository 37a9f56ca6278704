"""Lambda: functions, their versions and layers, and who may call them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from moto.utilities.utils import load_resource_as_str

from local_aws.resources.calls import Properties, Task, call
from local_aws.resources.table import Name, Put, Row, do
from local_aws.resources.tagging import Tagging


def _function_properties(properties: Properties) -> Properties:
    """Code that a template has inline becomes an archive with `index.py` and the helper that CloudFormation adds to it."""
    source = properties.get("Code", {}).get("ZipFile")
    if source is None:
        return properties
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name, text in (
            ("index.py", source),
            ("cfnresponse.py", load_resource_as_str("awslambda/resources/cfnresponse.py.txt")),
        ):
            packed.writestr(zipfile.ZipInfo(name), text)  # without the time of day: the same code is the same archive
    return {**properties, "Code": {**properties["Code"], "ZipFile": archive.getvalue()}}


def _statement_id(scope: Mapping[str, Any]) -> str:
    return str(json.loads(scope["Statement"])["Sid"])


def _update_code(task: Task) -> None:
    architectures = {"Architectures": task.new["Architectures"]} if "Architectures" in task.new else {}
    task.perform(call("update_function_code", FunctionName="id"), **task.new["Code"], **architectures)


_WHOLE = {
    "DeadLetterConfig": {},
    "Description": "",
    "Environment": {"Variables": {}},
    "EphemeralStorage": {"Size": 512},
    "FileSystemConfigs": [],
    "KmsKeyArn": "",
    "Layers": [],
    "MemorySize": 128,
    "SnapStart": {"ApplyOn": "None"},
    "Timeout": 3,
    "TracingConfig": {"Mode": "PassThrough"},
    "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []},
}

ROWS = (
    Row(
        type_name="AWS::Lambda::Function",
        service="lambda",
        name=Name("FunctionName", 64),
        translate=_function_properties,
        make=call("create_function"),
        id="FunctionName",
        attributes={
            "Arn": "FunctionArn || Arn",
            "SnapStartResponse.ApplyOn": "SnapStart.ApplyOn || 'None'",
            "SnapStartResponse.OptimizationStatus": "SnapStart.OptimizationStatus || 'Off'",
        },
        change=call("update_function_configuration", FunctionName="id"),
        defaults=_WHOLE,
        steps=(
            Put(
                call(
                    "put_function_concurrency",
                    FunctionName="id",
                    ReservedConcurrentExecutions="ReservedConcurrentExecutions",
                ),
                unset=call("delete_function_concurrency", FunctionName="id"),
            ),
        ),
        changes=(do(_update_code, "Code", "Architectures"),),
        tags=Tagging(call("tag_resource", Resource="Arn"), "Tags", call("untag_resource", Resource="Arn"), "TagKeys"),
        remove=call("delete_function", FunctionName="id"),
    ),
    Row(
        type_name="AWS::Lambda::Version",
        service="lambda",
        make=call("publish_version"),
        id="FunctionArn",
        attributes={"FunctionArn": "id", "Version": "Version"},
        remove=call("delete_function", FunctionName="FunctionName", Qualifier="Version"),
    ),
    Row(
        type_name="AWS::Lambda::Permission",
        service="lambda",
        make=call("add_permission", StatementId="token"),
        id=_statement_id,
        attributes={"Id": "id"},
        remove=call("remove_permission", FunctionName="FunctionName", StatementId="id"),
    ),
    Row(
        type_name="AWS::Lambda::LayerVersion",
        service="lambda",
        name=Name("LayerName", 140),
        make=call("publish_layer_version"),
        id="LayerVersionArn",
        attributes={"LayerVersionArn": "id", "LayerArn": "LayerArn", "Version": "Version"},
        remove=call("delete_layer_version", LayerName="LayerArn", VersionNumber="Version"),
    ),
    Row(
        type_name="AWS::Lambda::EventInvokeConfig",
        service="lambda",
        make=call("put_function_event_invoke_config"),
        id="join('|', [FunctionName, Qualifier])",
        whole=True,
        remove=call("delete_function_event_invoke_config", FunctionName="FunctionName", Qualifier="Qualifier"),
    ),
)
