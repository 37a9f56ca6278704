"""A planned change in the words of DescribeChangeSet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local_aws.changes import Change, Difference


def change_view(change: Change) -> dict[str, Any]:
    """Return one change as DescribeChangeSet shows it."""
    view: dict[str, Any] = {
        "Action": change.action,
        "LogicalResourceId": change.logical_id,
        "ResourceType": change.type,
        "Scope": list(change.scope),
        "Details": [_detail(difference, change) for difference in change.differences],
    }
    if change.before is not None:
        view["PhysicalResourceId"] = change.before.physical_id
        view["BeforeContext"] = _context(change.before.properties)
    if change.properties is not None:
        view["AfterContext"] = _context(change.properties)
    if change.action == "Modify":
        view["Replacement"] = change.replacement
    if policy := _policy_action(change):
        view["PolicyAction"] = policy
    return {"Type": "Resource", "ResourceChange": view}


def without_values(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return a change without the values of its properties, as the API gives it unless asked for them."""
    change = {
        key: value for key, value in view["ResourceChange"].items() if key not in {"BeforeContext", "AfterContext"}
    }
    change["Details"] = [
        {
            **detail,
            "Target": {
                key: value
                for key, value in detail["Target"].items()
                if key not in {"BeforeValue", "AfterValue", "Path"}
            },
        }
        for detail in change["Details"]
    ]
    return {**view, "ResourceChange": change}


def _context(properties: Mapping[str, Any]) -> str:
    return json.dumps({"Properties": properties}, default=str)


def _detail(difference: Difference, change: Change) -> dict[str, Any]:
    before: Mapping[str, Any] = change.before.properties if change.before else {}
    after: Mapping[str, Any] = change.properties or {}
    name = difference.name
    target = {
        "Attribute": "Tags" if name == "Tags" else "Properties",
        "Name": name,
        "Path": f"/Properties/{name}",
        "RequiresRecreation": "Always" if difference.replaces else "Never",
        "AttributeChangeType": "Add" if name not in before else "Remove" if name not in after else "Modify",
        **({"BeforeValue": _text(before[name])} if name in before else {}),
        **({"AfterValue": _text(after[name])} if name in after else {}),
    }
    return {
        "Target": target,
        "Evaluation": "Static" if difference.certain else "Dynamic",
        "ChangeSource": "DirectModification" if difference.certain else "ResourceAttribute",
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _policy_action(change: Change) -> str | None:
    if change.action == "Remove" and change.before is not None:
        return "Delete" if change.before.deletion_policy == "Delete" else "Retain"
    if change.action == "Modify" and change.replacement == "True" and change.before is not None:
        return "ReplaceAndDelete" if change.before.update_replace_policy == "Delete" else "ReplaceAndRetain"
    return None
