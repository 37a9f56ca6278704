"""Systems Manager: parameters, documents and associations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local_aws.resources.calls import Properties, Task, call
from local_aws.resources.contract import Context, Made
from local_aws.resources.table import Name, Row
from local_aws.resources.tagging import Tagging


def _tagging(kind: str) -> Tagging:
    known_as = {"ResourceType": f"'{kind}'", "ResourceId": "id"}
    return Tagging(
        call("add_tags_to_resource", **known_as), "Tags", call("remove_tags_from_resource", **known_as), "TagKeys"
    )


def _parameter_arn(scope: Mapping[str, Any]) -> str:
    """A path keeps its slash, a plain name gets one."""
    return f"arn:aws:ssm:{scope['region']}:{scope['account']}:parameter/{scope['id'].removeprefix('/')}"


def _make_newest_the_default(task: Task) -> None:
    newest = task.client.describe_document(Name=task.id, DocumentVersion="$LATEST")["Document"]["LatestVersion"]
    task.client.update_document_default_version(Name=task.id, DocumentVersion=newest)


class DocumentRow(Row):
    """A document says itself whether a change makes a new version of it, or a new document."""

    def update(self, context: Context, made: Made, old: Properties, new: Properties) -> Made:
        """Make a new version the default, or another document."""
        task = self._task(context, made, old, new)
        content = {"Content", "DocumentFormat", "TargetType", "VersionName", "Attachments", "Requires"}
        if task.changed & content and new.get("UpdateMethod", "Replace") == "Replace":
            return self.create(context, new)
        updated = super().update(context, made, old, new)
        if task.changed & content:
            _make_newest_the_default(task)
        return updated


ROWS = (
    Row(
        type_name="AWS::SSM::Parameter",
        service="ssm",
        name=Name("Name", 512),
        make=call("put_parameter"),
        id="Name",
        attributes={
            "Arn": _parameter_arn,
            "Type": "Type",
            "Value": "Value",
        },
        change=call("put_parameter", Name="id", Overwrite="`true`"),
        whole=True,
        tags=_tagging("Parameter"),
        remove=call("delete_parameter", Name="id"),
    ),
    DocumentRow(
        type_name="AWS::SSM::Document",
        service="ssm",
        name=Name("Name", 128),
        make=call("create_document"),
        id="Name",
        change=call("update_document", Name="id", DocumentVersion="'$LATEST'"),
        whole=True,
        ignored=("UpdateMethod",),
        tags=_tagging("Document"),
        remove=call("delete_document", Name="id"),
    ),
    Row(
        type_name="AWS::SSM::Association",
        service="ssm",
        make=call("create_association"),
        id="AssociationDescription.AssociationId",
        attributes={"AssociationId": "id"},
        change=call("update_association", AssociationId="id"),
        whole=True,
        tags=_tagging("Association"),
        remove=call("delete_association", AssociationId="id"),
    ),
)
