"""The engine's state in the words of the CloudFormation API."""

from __future__ import annotations

from typing import Any

from local_aws.change_view import without_values
from local_aws.model import ChangeSet, Event, Output, Resource, Stack
from local_aws.requests import capabilities_needed
from local_aws.schemas import schema_for
from local_aws.template import Template

_NOT_CHECKED = {"StackDriftStatus": "NOT_CHECKED"}
_RESOURCE_NOT_CHECKED = {"StackResourceDriftStatus": "NOT_CHECKED"}


def tag_list(tags: Any) -> list[dict[str, str]]:
    """Return tags as a list of keys and values."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _output(output: Output) -> dict[str, Any]:
    return {
        "OutputKey": output.key,
        "OutputValue": output.value,
        "Description": output.description,
        "ExportName": output.export,
    }


def stack(described: Stack) -> dict[str, Any]:
    """Return a stack for DescribeStacks."""
    settings = described.settings
    return {
        "StackId": described.id,
        "StackName": described.name,
        "ChangeSetId": described.last_change_set,
        "Description": settings.description if settings else None,
        "Parameters": [parameter.described(key) for key, parameter in settings.parameters.items()] if settings else [],
        "CreationTime": described.created,
        "LastUpdatedTime": described.updated,
        "DeletionTime": described.deleted,
        "RollbackConfiguration": {},
        "StackStatus": described.status,
        "StackStatusReason": described.reason,
        "DisableRollback": described.on_failure == "DO_NOTHING",
        "NotificationARNs": [],
        "Capabilities": list(settings.capabilities) if settings else [],
        "Outputs": [_output(output) for output in described.outputs.values()],
        "RoleARN": settings.role_arn if settings else None,
        "Tags": tag_list(settings.tags) if settings else [],
        "EnableTerminationProtection": described.termination_protection,
        "DriftInformation": _NOT_CHECKED,
    }


def stack_summary(described: Stack) -> dict[str, Any]:
    """Return a stack for ListStacks."""
    full = stack(described)
    keys = (
        "StackId",
        "StackName",
        "CreationTime",
        "LastUpdatedTime",
        "DeletionTime",
        "StackStatus",
        "StackStatusReason",
        "DriftInformation",
    )
    return {**{key: full[key] for key in keys}, "TemplateDescription": full["Description"]}


def resource(owner: Stack, described: Resource) -> dict[str, Any]:
    """Return a resource for DescribeStackResources, ListStackResources and DescribeStackResource alike."""
    return {
        "StackName": owner.name,
        "StackId": owner.id,
        "LogicalResourceId": described.logical_id,
        "PhysicalResourceId": described.physical_id,
        "ResourceType": described.type,
        "Timestamp": described.changed,
        "LastUpdatedTimestamp": described.changed,
        "ResourceStatus": described.status,
        "ResourceStatusReason": described.reason,
        "DriftInformation": _RESOURCE_NOT_CHECKED,
    }


def event(described: Event) -> dict[str, Any]:
    """Return an event for DescribeStackEvents and DescribeEvents alike."""
    return {
        "StackId": described.stack_id,
        "EventId": described.id,
        "StackName": described.stack_name,
        "OperationId": described.operation_id,
        "LogicalResourceId": described.logical_id,
        "PhysicalResourceId": described.physical_id or "",
        "ResourceType": described.type,
        "Timestamp": described.timestamp,
        "ResourceStatus": described.status,
        "ResourceStatusReason": described.reason,
        "ResourceProperties": described.properties,
        "ClientRequestToken": described.token,
        "EventType": "STACK_EVENT",
    }


def change_set(owner: Stack, described: ChangeSet, *, values: bool) -> dict[str, Any]:
    """Return a change set for DescribeChangeSet."""
    settings = described.settings
    return {
        **change_set_summary(owner, described),
        "Parameters": [parameter.described(key) for key, parameter in settings.parameters.items()],
        "NotificationARNs": [],
        "RollbackConfiguration": {},
        "Capabilities": list(settings.capabilities),
        "Tags": tag_list(settings.tags),
        "Changes": described.changes if values else [without_values(change) for change in described.changes],
        "OnStackFailure": described.on_failure,
    }


def change_set_summary(owner: Stack, described: ChangeSet) -> dict[str, Any]:
    """Return a change set for ListChangeSets."""
    return {
        "StackId": owner.id,
        "StackName": owner.name,
        "ChangeSetId": described.id,
        "ChangeSetName": described.name,
        "ExecutionStatus": described.execution,
        "Status": described.status,
        "StatusReason": described.reason,
        "CreationTime": described.created,
        "Description": described.description,
        "IncludeNestedStacks": False,
    }


def template_summary(template: Template, region: str) -> dict[str, Any]:
    """Return what GetTemplateSummary and ValidateTemplate tell of a template."""
    needed = capabilities_needed(template)
    types: dict[str, list[str]] = {}
    for definition in template.resources.values():
        types.setdefault(definition.type, []).append(definition.logical_id)
    return {
        "Description": template.description,
        "Metadata": None,
        "Version": "2010-09-09",
        "Capabilities": list(needed),
        "CapabilitiesReason": f"The following resource(s) require capabilities: [{', '.join(sorted(types))}]"
        if needed
        else None,
        "ResourceTypes": sorted(types),
        "DeclaredTransforms": list(template.transforms),
        "ResourceIdentifierSummaries": [
            {
                "ResourceType": kind,
                "LogicalResourceIds": names,
                "ResourceIdentifiers": ["/".join(path) for path in schema_for(kind, region).primary_identifier],
            }
            for kind, names in sorted(types.items())
        ],
        "Parameters": [
            {
                "ParameterKey": key,
                "DefaultValue": None if "Default" not in declared else str(declared["Default"]),
                "ParameterType": declared.get("Type", "String"),
                "NoEcho": str(declared.get("NoEcho", False)).lower() == "true",
                "Description": declared.get("Description"),
                "ParameterConstraints": {"AllowedValues": [str(value) for value in declared.get("AllowedValues", [])]},
            }
            for key, declared in template.parameters.items()
        ],
    }
