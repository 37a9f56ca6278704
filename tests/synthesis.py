"""Fleets for tests, synthesised once a process and read as plain data.

AWS's own validation of templates is off, since it takes a second and more; tests/policy has it on.
"""

from __future__ import annotations

import functools
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from catalog import Catalog, Environment, load_catalog, load_environment
from stacks.fleet import build_fleet

ROOT = Path(__file__).parent.parent
CONTEXT: Mapping[str, Any] = {
    **json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"],
    "aws:cdk:disable-asset-staging": True,  # a hundred copies of the functions' packages would show nothing
}
EVERY_FEATURE = ROOT / "tests" / "cases" / "good" / "every-feature.yaml"

Template = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a template."""

    part: str
    """Part of the stack's name that tells it from the others, such as `network`."""
    logical_id: str
    body: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.body["Type"])

    @property
    def properties(self) -> dict[str, Any]:
        properties: dict[str, Any] = self.body.get("Properties", {})
        return properties

    def __getitem__(self, name: str) -> Any:
        return self.properties[name]

    @property
    def tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.properties.get("Tags", [])}


@dataclass(frozen=True, slots=True)
class Fleet:
    """The templates of one environment."""

    catalog: Catalog
    environment: Environment
    templates: Mapping[str, Template]
    """The templates by part, in the order in which the app made them."""
    manifest: Mapping[str, Any]
    """The cloud assembly's manifest."""
    report: Mapping[str, Any]
    """What validation found; empty where nothing was validated, or nothing found."""
    warnings: str
    """What the synthesis warned of."""

    def resources(self, *types: str) -> list[Resource]:
        """Return the resources of the given types, or all."""
        return [
            Resource(part, logical_id, body)
            for part, template in self.templates.items()
            for logical_id, body in template["Resources"].items()
            if not types or body["Type"] in types
        ]

    def one(self, kind: str, *, part: str | None = None, **properties: Any) -> Resource:
        """Return the only resource of a type, in one stack or all, that has these properties."""
        found = [
            resource
            for resource in self.resources(kind)
            if part in {None, resource.part}
            and all(resource.properties.get(name) == value for name, value in properties.items())
        ]
        assert len(found) == 1, f"{len(found)} resources of type {kind} with {properties}"
        return found[0]

    def of_service(self, kind: str) -> dict[str, Resource]:
        """Return the resources of a type by the service that they are tagged with."""
        return {resource.tags["service"]: resource for resource in self.resources(kind) if "service" in resource.tags}

    def stack(self, part: str) -> Mapping[str, Any]:
        """Return a stack's entry in the manifest."""
        artifact: Mapping[str, Any] = self.manifest["artifacts"][self.stack_name(part)]
        return artifact

    def stack_name(self, part: str) -> str:
        return f"gaming-system-{self.environment.name}-{part}"

    def text(self, part: str, value: Any) -> str:
        """Return a value with its functions written out: `${PART:LOGICALID.ATTRIBUTE}`, followed across stacks."""
        match value:
            case {"Fn::ImportValue": str(export)}:
                producer = export.partition(":")[0].removeprefix(self.stack_name(""))
                exported = next(
                    output["Value"]
                    for output in self.templates[producer]["Outputs"].values()
                    if output.get("Export", {}).get("Name") == export
                )
                return self.text(producer, exported)
            case {"Fn::Join": [str(separator), list(pieces)]}:
                return separator.join(self.text(part, piece) for piece in pieces)
            case {"Fn::GetAtt": [str(logical_id), str(attribute)]}:
                return f"${{{part}:{logical_id}.{attribute}}}"
            case {"Ref": str(target)}:
                return f"${{{target}}}" if target.startswith("AWS::") else f"${{{part}:{target}}}"
            case _:
                return str(value)

    def plain(self, part: str, value: Any) -> Any:
        """Return plain data with every function in it written out."""
        match value:
            case {"Fn::ImportValue": _} | {"Fn::Join": _} | {"Fn::GetAtt": _} | {"Ref": _}:
                return self.text(part, value)
            case dict():
                return {key: self.plain(part, child) for key, child in value.items()}
            case list():
                return [self.plain(part, child) for child in value]
            case _:
                return value

    def followed(self, part: str, value: Any) -> Resource:
        """Return the resource that a reference leads to."""
        found = re.fullmatch(r"\$\{([a-z0-9-]+):([A-Za-z0-9]+)(?:\.[A-Za-z.]+)?\}", self.text(part, value))
        assert found, f"{value} is no reference"
        return Resource(found[1], found[2], self.templates[found[1]]["Resources"][found[2]])


def synthesise(
    catalog: Catalog,
    environment: Environment,
    *,
    destroy_data: bool = False,
    validated: bool = False,
    prepare: Callable[[cdk.App], None] | None = None,
) -> Fleet:
    """Synthesise a fleet.

    Args:
        catalog: The services.
        environment: The environment.
        destroy_data: Whether the context agrees that data goes with its resource.
        validated: Whether AWS's validation of templates is on.
        prepare: What is done with the app before the synthesis, such as adding a plugin.
    """
    with tempfile.TemporaryDirectory() as folder:
        context = {**CONTEXT, "@aws-cdk/core:failSynthOnValidationErrors": False}
        app = cdk.App(
            context=context,
            outdir=folder,
            analytics_reporting=False,
            builtin_cloud_formation_validation=validated,
        )
        build_fleet(app, catalog=catalog, environment=environment, destroy_data=destroy_data)
        if prepare:
            prepare(app)
        app.synth()
        return read_assembly(Path(folder), catalog, environment)


def read_assembly(folder: Path, catalog: Catalog, environment: Environment) -> Fleet:
    """Return a cloud assembly as plain data."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    report = folder / "validation-report.json"
    metadata = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.metadata.json"))]
    entries = [entry for stack in metadata for of_construct in stack.values() for entry in of_construct]
    return Fleet(
        catalog=catalog,
        environment=environment,
        templates={
            artifact.removeprefix(f"gaming-system-{environment.name}-"): json.loads(
                (folder / body["properties"]["templateFile"]).read_text(encoding="utf-8")
            )
            for artifact, body in manifest["artifacts"].items()
            if body["type"] == "aws:cloudformation:stack"
        },
        manifest=manifest,
        report=json.loads(report.read_text(encoding="utf-8")) if report.exists() else {},
        warnings="\n".join(str(entry["data"]) for entry in entries if entry["type"] == "aws:cdk:warning"),
    )


@functools.cache
def whole_catalog() -> Catalog:
    """Return the product's catalog."""
    return load_catalog(ROOT / "service_catalog.yaml")


@functools.cache
def small_catalog() -> Catalog:
    """Return a catalog with few services and every feature."""
    return load_catalog(EVERY_FEATURE)


@functools.cache
def whole_fleet(environment: str) -> Fleet:
    """Return the product's catalog in one of its environments."""
    return synthesise(whole_catalog(), load_environment(environment), destroy_data=environment == "local")


@functools.cache
def small_fleet(environment: str) -> Fleet:
    """Return the small catalog in one of the product's environments."""
    return synthesise(small_catalog(), load_environment(environment), destroy_data=environment == "local")


def changed(catalog: Catalog, service: str, **changes: Any) -> Catalog:
    """Return a catalog with some keys of one entry changed."""
    entry = catalog.services[service].model_copy(update=changes)
    return catalog.model_copy(update={"services": {**catalog.services, service: entry}})


def without(catalog: Catalog, service: str) -> Catalog:
    """Return a catalog without one entry."""
    return catalog.model_copy(update={"services": {name: s for name, s in catalog.services.items() if name != service}})


def renamed(catalog: Catalog, service: str, name: str) -> Catalog:
    """Return a catalog with one entry under another name, at the same place."""
    entries = {
        (name if key == service else key): (entry.model_copy(update={"name": name}) if key == service else entry)
        for key, entry in catalog.services.items()
    }
    return catalog.model_copy(update={"services": entries})


def strings(value: Any) -> Iterator[str]:
    """Yield every text in plain data, keys included."""
    match value:
        case str():
            yield value
        case Mapping():
            for key, child in value.items():
                yield str(key)
                yield from strings(child)
        case list():
            for child in value:
                yield from strings(child)
