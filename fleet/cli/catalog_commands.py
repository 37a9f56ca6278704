"""`fleet catalog`: check, read and edit the service catalog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

import catalog
from catalog import CatalogError, Fault
from catalog.faults import did_you_mean
from catalog.load import check_environment, environment_names
from fleet.cli.catalog_output import annotation, plain_value, replicas, report, service_record, value_text, verdict
from fleet.cli.errors import EXIT_BAD_INPUT, InputError
from fleet.cli.output import Format, new_app, result, result_json, say, table

CHECKOUT = Path(catalog.__file__).parent.parent
_MOST_FAULTS_TOLD = 1000

app = new_app("Check, read and edit the service catalog.")

FormatOption = Annotated[Format, typer.Option("--format", help="How the result is printed.")]
CatalogOption = Annotated[
    Path | None,
    typer.Option("--catalog", metavar="PATH", help="The catalog; service_catalog.yaml of the checkout if left out."),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the service.")]


@app.command()
def check(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help="The catalog; service_catalog.yaml of the checkout if left out."),
    ] = None,
    output: Annotated[
        Literal["text", "json", "github"],
        typer.Option("--format", help="How faults are printed; `github` makes annotations of a workflow."),
    ] = "text",
) -> None:
    """Tell every fault of the catalog, and of the environments beside it.

    Each fault has its place, what was given, what is allowed and, where something is near, what may have been meant. Warnings do
    not fail. Exit codes: 0 good, 2 faults.
    """
    file = _catalog_path(path)
    checked = catalog.check_catalog(file)
    folder = file.parent / "environments"
    environments = [check_environment(folder / f"{name}.yaml") for name in environment_names(folder)]
    faults = [*checked.faults, *(fault for environment in environments for fault in environment.faults)]
    if output == "json":
        result_json(report(file, checked.catalog, len(environments), faults))
    else:
        for fault in faults[:_MOST_FAULTS_TOLD]:
            result(annotation(fault) if output == "github" else str(fault))
        if len(faults) > _MOST_FAULTS_TOLD:
            say(f"and {len(faults) - _MOST_FAULTS_TOLD} more")
        result_line = say if output == "github" else result
        result_line(verdict(file, checked.catalog, len(environments), faults))
    if any(fault.severity == "error" for fault in faults):
        raise typer.Exit(EXIT_BAD_INPUT)


@app.command("list")
def list_services(path: CatalogOption = None, output: FormatOption = "text") -> None:
    """List the services by group, with their size and number."""
    fleet = catalog.load_catalog(_catalog_path(path))
    services = [service for group in fleet.groups for service in fleet.services.values() if service.group == group]
    if output == "json":
        result_json([service_record(service) for service in services])
        return
    rows = [
        (
            service.group if before is None or before.group != service.group else "",
            service.name,
            replicas(service),
            service.cpu,
            service.memory,
            "yes" if service.enabled else f"no: {service.reason}",
        )
        for before, service in zip([None, *services], services, strict=False)
    ]
    result(table(("GROUP", "SERVICE", "REPLICAS", "CPU", "MEMORY", "ENABLED"), rows, right=(2, 3, 4)))
    tasks = sum(service.min_tasks for service in fleet.enabled)
    say(f"{len(fleet.enabled)} of {len(fleet.services)} services enabled, {tasks} tasks")


@app.command()
def show(name: NameArgument, path: CatalogOption = None, output: FormatOption = "text") -> None:
    """Show what an entry becomes: every key, where its value comes from, and what it means."""
    from catalog.explain import explained  # noqa: PLC0415  # what only one command needs, only that one loads

    file = _catalog_path(path)
    found = explained(file, name)
    if found is None:
        near = did_you_mean(name, catalog.load_catalog(file).services)
        raise InputError(f"{file} has no service {name!r}{near}")
    service, keys = found
    if output == "json":
        told = [asdict(key) | {"value": plain_value(key.value)} for key in keys]
        result_json({"service": service.model_dump(), "keys": told})
        return
    rows = [
        (key.key, value_text(key.value), key.origin + (f", line {key.line}" if key.line else ""), key.description)
        for key in keys
    ]
    result(f"{name} of {file}\n")
    result(table(("KEY", "VALUE", "FROM", "MEANING"), rows))


@app.command()
def add(
    name: NameArgument,
    group: Annotated[str, typer.Option("--group", help="Group that the service belongs to.")],
    description: Annotated[str | None, typer.Option(help="What the service does, in one line.")] = None,
    owner: Annotated[
        str | None, typer.Option(help="Team that owns it; who owns most of the group if left out.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Tag of its image; the defaults' if left out.")] = None,
    path: CatalogOption = None,
) -> None:
    """Add a service at the end of its group; nothing else in the file changes."""
    from catalog.edit import add_service  # noqa: PLC0415

    file = _catalog_path(path)
    with _untouched(file):
        edited = add_service(file, name, group=group, description=description, owner=owner, tag=tag)
    _tell(edited.warnings)
    result(
        f"{file}: added {name} to group {group}, stack {edited.service.stack}; next, give it its contract under `nats`"
    )


@app.command()
def enable(name: NameArgument, path: CatalogOption = None) -> None:
    """Switch a service on."""
    from catalog.edit import enable_service  # noqa: PLC0415

    file = _catalog_path(path)
    with _untouched(file):
        edited = enable_service(file, name)
    _tell(edited.warnings)
    result(f"{file}: {name} is {'now enabled' if edited.changed else 'enabled already'}")


@app.command()
def disable(
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why it is off, and what would let it be turned on.")],
    path: CatalogOption = None,
) -> None:
    """Switch a service off: its entry and its image repository stay, and nothing else."""
    from catalog.edit import disable_service  # noqa: PLC0415

    file = _catalog_path(path)
    with _untouched(file):
        edited = disable_service(file, name, reason=reason)
    _tell(edited.warnings)
    result(f"{file}: {name} is {'now disabled' if edited.changed else 'disabled already'}: {edited.service.reason}")


def _catalog_path(given: Path | None) -> Path:
    """Return the catalog's path as the user would write it."""
    file = given or CHECKOUT / "service_catalog.yaml"
    return file.relative_to(Path.cwd()) if file.is_absolute() and file.is_relative_to(Path.cwd()) else file


@contextmanager
def _untouched(file: Path) -> Iterator[None]:
    """Tell that a refused edit has changed nothing."""
    try:
        yield
    except CatalogError as error:
        say(str(error))
        raise InputError(f"nothing was written: {file} is as it was") from None


def _tell(warnings: Iterable[Fault]) -> None:
    for warning in warnings:
        say(str(warning))
