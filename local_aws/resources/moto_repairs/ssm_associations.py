"""Systems Manager: associations of documents with nodes, which moto 5.2.5 does not have.

They are kept and told of; nobody applies them, so that an association stays pending for ever.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from moto.core.common_models import BaseModel
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.ssm.models import SimpleSystemManagerBackend
from moto.ssm.responses import SimpleSystemManagerResponse

from local_aws.resources.moto_repairs.patching import add, around

_TOLD = (
    "ApplyOnlyAtCronInterval",
    "AssociationName",
    "AutomationTargetParameterName",
    "CalendarNames",
    "ComplianceSeverity",
    "DocumentVersion",
    "InstanceId",
    "MaxConcurrency",
    "MaxErrors",
    "Name",
    "OutputLocation",
    "Parameters",
    "ScheduleExpression",
    "ScheduleOffset",
    "SyncCompliance",
    "Targets",
)


class AssociationDoesNotExistError(ServiceException):
    """There is no such association."""

    code = "AssociationDoesNotExist"

    def __init__(self) -> None:
        super().__init__("The specified association doesn't exist.")


class Association(BaseModel):
    """One document for some nodes."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.association_id = str(uuid.uuid4())
        self.told = told
        self.version = 1
        self.made = self.changed = utcnow()

    def description(self) -> dict[str, Any]:
        """Return all that the API tells of it."""
        return {
            **self.told,
            "AssociationId": self.association_id,
            "AssociationVersion": str(self.version),
            "Date": self.made,
            "LastUpdateAssociationDate": self.changed,
            "Overview": {"Status": "Pending", "DetailedStatus": "Pending"},
            "Status": {"Date": self.changed, "Name": "Pending", "Message": "nothing applies associations here"},
        }


def _told(response: SimpleSystemManagerResponse) -> dict[str, Any]:
    found = {name: response._get_param(name) for name in _TOLD}  # noqa: SLF001 - how moto's responses read their parameters
    return {name: value for name, value in found.items() if value is not None}


def _association(response: SimpleSystemManagerResponse) -> Association:
    try:
        return response.ssm_backend.state_associations[response._get_param("AssociationId")]  # type: ignore[attr-defined, no-any-return] # noqa: SLF001
    except KeyError:
        raise AssociationDoesNotExistError from None


def create_association(self: SimpleSystemManagerResponse) -> ActionResult:
    """CreateAssociation."""
    association = Association(_told(self))
    self.ssm_backend.state_associations[association.association_id] = association  # type: ignore[attr-defined]
    return ActionResult({"AssociationDescription": association.description()})


def update_association(self: SimpleSystemManagerResponse) -> ActionResult:
    """UpdateAssociation: what is not told falls away, as it does in AWS."""
    association = _association(self)
    association.told = {"Name": association.told["Name"], **_told(self)}
    association.version += 1
    association.changed = utcnow()
    return ActionResult({"AssociationDescription": association.description()})


def describe_association(self: SimpleSystemManagerResponse) -> ActionResult:
    """DescribeAssociation."""
    return ActionResult({"AssociationDescription": _association(self).description()})


def list_associations(self: SimpleSystemManagerResponse) -> ActionResult:
    """ListAssociations."""
    associations = self.ssm_backend.state_associations.values()  # type: ignore[attr-defined]
    return ActionResult({"Associations": [association.description() for association in associations]})


def delete_association(self: SimpleSystemManagerResponse) -> EmptyResult:
    """DeleteAssociation."""
    del self.ssm_backend.state_associations[_association(self).association_id]  # type: ignore[attr-defined]
    return EmptyResult()


def apply() -> None:
    """Add associations, and let them be tagged."""
    add(
        SimpleSystemManagerResponse,
        create_association,
        update_association,
        describe_association,
        list_associations,
        delete_association,
    )

    @around(SimpleSystemManagerBackend, "__init__")
    def with_associations(
        original: Callable[..., None], backend: SimpleSystemManagerBackend, *arguments: Any, **named: Any
    ) -> None:
        original(backend, *arguments, **named)
        backend.state_associations = {}  # type: ignore[attr-defined]

    @around(SimpleSystemManagerBackend, "_validate_resource_type_and_id")
    def taggable(original: Callable[..., str], backend: SimpleSystemManagerBackend, kind: str, name: str) -> str:
        if kind != "Association":
            return original(backend, kind, name)
        if name not in backend.state_associations:  # type: ignore[attr-defined]
            raise AssociationDoesNotExistError
        return name
