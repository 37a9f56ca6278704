"""Templates: read, checked for their shape, and typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from local_aws.errors import TemplateError

_SECTIONS = frozenset(
    {
        "AWSTemplateFormatVersion",
        "Conditions",
        "Description",
        "Mappings",
        "Metadata",
        "Outputs",
        "Parameters",
        "Resources",
        "Rules",
        "Transform",
    }
)
_RESOURCE_KEYS = frozenset(
    {
        "Condition",
        "CreationPolicy",
        "DeletionPolicy",
        "DependsOn",
        "Description",
        "Metadata",
        "Properties",
        "Type",
        "UpdatePolicy",
        "UpdateReplacePolicy",
    }
)
_DELETION_POLICIES = ("Delete", "Retain", "RetainExceptOnCreate")
_REPLACE_POLICIES = ("Delete", "Retain")
# An update by difference never touches a group's size that the template left as it was, which is all that this policy asks.
_HARMLESS_UPDATE_POLICIES = frozenset({"AutoScalingScheduledAction"})
_LANGUAGE_EXTENSIONS = "AWS::LanguageExtensions"


@dataclass(frozen=True, slots=True)
class Definition:
    """One resource as the template writes it."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    depends_on: tuple[str, ...]
    condition: str | None
    metadata: Any
    deletion_policy: str
    update_replace_policy: str


@dataclass(frozen=True, slots=True)
class Template:
    """A template whose shape has been checked; its expressions are still as written."""

    body: str
    description: str | None
    metadata: Mapping[str, Any]
    parameters: Mapping[str, Mapping[str, Any]]
    mappings: Mapping[str, Any]
    conditions: Mapping[str, Any]
    rules: Mapping[str, Mapping[str, Any]]
    resources: Mapping[str, Definition]
    outputs: Mapping[str, Mapping[str, Any]]
    transforms: tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """YAML as CloudFormation reads it: short forms of the functions, and dates left as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the base class holds it like this too
        letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _short_form(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)  # type: ignore[no-untyped-call]
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)  # type: ignore[no-untyped-call]
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[no-untyped-call]
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in {"Ref", "Condition"} else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _short_form)  # type: ignore[no-untyped-call]


def load(body: str) -> dict[str, Any]:
    """Read a template's text, JSON or YAML."""
    try:
        document = json.loads(body)
    except ValueError:
        try:
            document = yaml.load(body, Loader=_Loader)  # type: ignore[no-untyped-call]  # noqa: S506 - built on the safe loader
        except (yaml.YAMLError, RecursionError) as error:
            raise TemplateError(f"Template format error: neither JSON nor YAML: {error}") from error
    except RecursionError as error:
        raise TemplateError("Template format error: nested too deeply") from error
    if not isinstance(document, dict):
        raise TemplateError("Template format error: unsupported structure.")
    return document


def parse(body: str) -> Template:
    """Read a template and check its shape.

    Raises:
        TemplateError: the template is not one, or asks for what the local AWS does not carry.
    """
    document = load(body)
    if unknown := sorted(str(key) for key in document.keys() - _SECTIONS):
        raise TemplateError(f"Invalid template property or properties [{', '.join(unknown)}]")
    resources = _section(document, "Resources")
    if not resources:
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    return Template(
        body=body,
        description=document.get("Description"),
        metadata=_section(document, "Metadata"),
        parameters=_section(document, "Parameters"),
        mappings=_section(document, "Mappings"),
        conditions=_section(document, "Conditions"),
        rules=_section(document, "Rules"),
        resources={name: _definition(name, written) for name, written in resources.items()},
        outputs=_outputs(_section(document, "Outputs")),
        transforms=_transforms(document.get("Transform")),
    )


def _section(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = document.get(name)
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise TemplateError(f"Template format error: {name} must be an object.")
    return section


def _transforms(written: Any) -> tuple[str, ...]:
    transforms = tuple(written) if isinstance(written, list) else (written,) if written else ()
    for transform in transforms:
        if transform != _LANGUAGE_EXTENSIONS:
            raise TemplateError(f"Transform {transform} is not carried by the local AWS")
    return transforms


def _outputs(section: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    for name, output in section.items():
        if not isinstance(output, dict) or "Value" not in output:
            raise TemplateError(f"Template format error: Output {name} must have a Value.")
    return dict(section)


def _definition(name: str, written: Any) -> Definition:
    where = f"resource {name}"
    if not isinstance(written, dict) or not isinstance(written.get("Type"), str):
        raise TemplateError(f"Template format error: [/Resources/{name}] every resource must have a Type.")
    if unknown := sorted(written.keys() - _RESOURCE_KEYS):
        raise TemplateError(f"Invalid template resource property '{unknown[0]}' in {where}")
    properties = written.get("Properties") or {}
    if not isinstance(properties, dict):
        raise TemplateError(f"Template format error: [/Resources/{name}/Properties] must be an object.")
    if written.get("CreationPolicy"):
        raise TemplateError(
            f"CreationPolicy of {where} is not carried by the local AWS: no machine boots here to send signals"
        )
    if refused := sorted(set(written.get("UpdatePolicy") or {}) - _HARMLESS_UPDATE_POLICIES):
        raise TemplateError(f"UpdatePolicy {refused[0]} of {where} is not carried by the local AWS")
    depends_on = written.get("DependsOn") or []
    return Definition(
        logical_id=name,
        type=written["Type"],
        properties=properties,
        depends_on=(depends_on,) if isinstance(depends_on, str) else tuple(depends_on),
        condition=written.get("Condition"),
        metadata=written.get("Metadata"),
        deletion_policy=_policy(written, "DeletionPolicy", _DELETION_POLICIES, where),
        update_replace_policy=_policy(written, "UpdateReplacePolicy", _REPLACE_POLICIES, where),
    )


def _policy(written: Mapping[str, Any], name: str, allowed: tuple[str, ...], where: str) -> str:
    policy = written.get(name, "Delete")
    if policy not in allowed:
        raise TemplateError(
            f"{name} {policy!r} of {where} is not carried by the local AWS; it carries {', '.join(allowed)}"
        )
    return str(policy)
