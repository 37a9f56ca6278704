"""Cloud Map: private namespaces and the services in them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from local_aws.resources.calls import Task, call
from local_aws.resources.table import NotMadeError, Put, Row
from local_aws.resources.tagging import Tagging

_PATIENCE_SECONDS = 60

_TAGS = Tagging(call("tag_resource", ResourceARN="Arn"), "Tags", call("untag_resource", ResourceARN="Arn"), "TagKeys")


def _wait_for_namespace(task: Task, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Cloud Map answers with an operation, which makes the namespace in its own time."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        operation = task.client.get_operation(OperationId=answer["OperationId"])["Operation"]
        if operation["Status"] == "SUCCESS":
            return {"NamespaceId": operation["Targets"]["NAMESPACE"]}
        if operation["Status"] == "FAIL":
            raise NotMadeError(f"{task.type_name}: {operation.get('ErrorMessage', 'Cloud Map gave no reason')}")
        time.sleep(0.5)
    raise NotMadeError(f"{task.type_name}: not made within {_PATIENCE_SECONDS} seconds")


ROWS = (
    Row(
        type_name="AWS::ServiceDiscovery::PrivateDnsNamespace",
        service="servicediscovery",
        make=call("create_private_dns_namespace"),
        follow=_wait_for_namespace,
        id="NamespaceId",
        reads=(
            (
                call("get_namespace", Id="id"),
                "Namespace.{Arn: Arn, HostedZoneId: Properties.DnsProperties.HostedZoneId}",
            ),
        ),
        attributes={"Id": "id", "Arn": "Arn", "HostedZoneId": "HostedZoneId"},
        changes=(
            Put(
                call(
                    "update_private_dns_namespace",
                    Id="id",
                    Namespace="{Description: Description || '', Properties: Properties}",
                ),
                unset=call("update_private_dns_namespace", Id="id", Namespace="{Description: ''}"),
            ),
        ),
        tags=_TAGS,
        remove=call("delete_namespace", Id="id"),
    ),
    Row(
        type_name="AWS::ServiceDiscovery::Service",
        service="servicediscovery",
        make=call("create_service"),
        id="Service.Id",
        reads=((call("get_service", Id="id"), "Service.{Arn: Arn, Name: Name}"),),
        attributes={"Id": "id", "Arn": "Arn", "Name": "Name"},
        steps=(Put(call("update_service_attributes", ServiceId="id", Attributes="ServiceAttributes")),),
        changes=(
            Put(
                call(
                    "update_service",
                    Id="id",
                    Service="{Description: Description, DnsConfig: DnsConfig && {DnsRecords: DnsConfig.DnsRecords}, HealthCheckConfig: HealthCheckConfig}",
                ),
            ),
        ),
        tags=_TAGS,
        remove=call("delete_service", Id="id"),
    ),
)
