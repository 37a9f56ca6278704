"""Load the catalog and the environments, with every fault told at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from catalog.catalog import Catalog
from catalog.compose import composed
from catalog.draft import drafted
from catalog.environment import Environment
from catalog.faults import CatalogError, Fault, did_you_mean, fault_at, in_order, listed, shown
from catalog.nodes import Node, merged, plain
from catalog.rules import check_catalog_rules, check_environment_rules
from catalog.service import Service
from catalog.shape import shape_faults
from catalog.source import Source, read_source

ENVIRONMENTS = Path(__file__).parent.parent / "environments"

# A default counts in every entry, so a small file could stand for gigabytes.
_MOST_MERGED_VALUES = 2_000_000
# What stands in for a required key that is missing, so that the rules can look at the rest.
_STAND_INS: dict[str, Any] = {"group": "unknown", "description": "-", "owner": "-", "image": {"tag": "unknown"}}
_ENVIRONMENT_STAND_INS: dict[str, Any] = {
    "name": "unknown",
    "region": "us-east-1",
    "availability_zones": ["unknown-1", "unknown-2"],
    "nats": {"ami_id": "ami-00000000"},
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A catalog's file after all checks."""

    catalog: Catalog | None
    """The catalog; none where an error was found."""
    faults: tuple[Fault, ...]
    """Every fault and warning, in the order of the file."""


@dataclass(frozen=True, slots=True)
class CheckedEnvironment:
    """An environment's file after all checks."""

    environment: Environment | None
    """The environment; none where an error was found."""
    faults: tuple[Fault, ...]
    """Every fault and warning, in the order of the file."""


def load_catalog(path: Path) -> Catalog:
    """Load a service catalog.

    Raises:
        CatalogError: The file has errors; all of them.
    """
    checked = check_source(read_source(path))
    if checked.catalog is None:
        raise CatalogError(checked.faults)
    return checked.catalog


def check_catalog(path: Path) -> Checked:
    """Return a catalog, or everything that is wrong with its file."""
    try:
        return check_source(read_source(path))
    except CatalogError as error:
        return Checked(None, error.faults)


def check_source(source: Source) -> Checked:
    """Return the catalog of a text, or everything that is wrong with it."""
    try:
        root, faults = composed(source)
    except CatalogError as error:
        return Checked(None, error.faults)
    tree = with_defaults(source.file, root, faults)
    draft = None if tree is None else drafted(source.file, Catalog, tree, faults, _completed)
    if draft is not None:
        check_catalog_rules(draft)
    return Checked(None if draft is None or _errors_in(faults) else draft.model, in_order(faults))


def load_environment(name: str, directory: Path = ENVIRONMENTS) -> Environment:
    """Load one environment.

    Raises:
        CatalogError: There is no such environment, or its file has errors; all of them.
    """
    file = directory / f"{name}.yaml"
    known = environment_names(directory)
    if name not in known:
        told = f"there is no environment {shown(name)}; there are {listed(known, 'and')}{did_you_mean(name, known)}"
        raise CatalogError([fault_at(directory, None, (), told)])
    checked = check_environment(file)
    if checked.environment is None:
        raise CatalogError(checked.faults)
    return checked.environment


def check_environment(file: Path) -> CheckedEnvironment:
    """Return an environment, or everything that is wrong with its file."""
    try:
        root, faults = composed(read_source(file))
    except CatalogError as error:
        return CheckedEnvironment(None, error.faults)
    draft = drafted(file, Environment, root, faults, lambda data: {**_ENVIRONMENT_STAND_INS, **data})
    if draft is not None:
        check_environment_rules(draft)
    return CheckedEnvironment(None if draft is None or _errors_in(faults) else draft.model, in_order(faults))


def environment_names(directory: Path = ENVIRONMENTS) -> list[str]:
    """Return the names of the environments that a folder describes."""
    return sorted(file.stem for file in directory.glob("*.yaml"))


def with_defaults(file: Path, root: Node, faults: list[Fault]) -> Node | None:
    """Return the catalog's tree with the defaults laid under every entry, and each entry's name in it."""
    defaults, services = root.get("defaults"), root.get("services")
    members = {key: child for key, child in root if key != "defaults"} if root.is_mapping else root.value
    if defaults is not None:
        faults.extend(_faults_of_defaults(file, defaults))
    if services is not None and services.is_mapping:
        if defaults is not None and _size(defaults) * len(services.value) > _MOST_MERGED_VALUES:
            told = f"with {len(services.value):,} services they stand for more than {_MOST_MERGED_VALUES:,} values"
            faults.append(fault_at(file, defaults.start, ("defaults",), told))
            return None
        entries = {
            name: _named(file, services, name, entry if defaults is None else merged(defaults, entry), faults)
            for name, entry in services.value.items()
        }
        members["services"] = replace(services, value=entries)
    return replace(root, value=members)


def _errors_in(faults: list[Fault]) -> bool:
    return any(fault.severity == "error" for fault in faults)


def _faults_of_defaults(file: Path, defaults: Node) -> list[Fault]:
    """Return the faults of the defaults for themselves, since every entry may replace one that is wrong."""
    try:
        Service.model_validate(plain(defaults))
    except ValidationError as error:
        return shape_faults(file, Service, defaults, error, ignore_missing=True)
    return []


def _named(file: Path, services: Node, name: str, entry: Node, faults: list[Fault]) -> Node:
    """Return an entry with its key as its name."""
    if not entry.is_mapping:
        return entry
    if (own := entry.get("name")) is not None:
        faults.append(fault_at(file, own.start, own.path, "is no key of an entry; the entry's own key is its name"))
    start = services.key_position(name)
    named = Node(name, start, start.offset + len(name), (*services.path, name))
    return replace(entry, value={**entry.value, "name": named})


def _completed(data: Any) -> Any:
    """Return a catalog's data with a stand-in for every required key that is missing."""
    groups = _each_completed(data.get("groups"), {"description": "-"})
    services = _each_completed(data.get("services"), _STAND_INS)
    return {**data, "groups": groups or {_STAND_INS["group"]: {"description": "-"}}, "services": services or {}}


def _each_completed(section: Any, stand_ins: dict[str, Any]) -> Any:
    if not isinstance(section, dict):
        return section
    return {name: {**stand_ins, **entry} if isinstance(entry, dict) else entry for name, entry in section.items()}


def _size(node: Node) -> int:
    return 1 + sum(_size(child) for _, child in node)
