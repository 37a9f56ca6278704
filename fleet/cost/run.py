"""From an environment's name to its report: synthesise, read, reckon."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from catalog.cost import Cost, Usage
from catalog.environment import Environment
from catalog.faults import did_you_mean, shown
from fleet import project
from fleet.cost.prices import PriceBook
from fleet.cost.report import Report, make_report
from fleet.cost.resources import Resources
from fleet.deploy.assembly import read_assembly
from fleet.deploy.cdk import CdkCli
from fleet.errors import InputError
from fleet.progress import Progress


def cost_report(
    environment: Environment, catalog: Path, cost: Cost, book: PriceBook, today: date, progress: Progress
) -> Report:
    """Return what an environment costs, from the templates that its files give now.

    The assembly is this command's own: the one that a deployment has shown, and asks about, stays as it is.
    """
    cdk = CdkCli(environment, catalog, assembly=project.assembly(f"{environment.name}-cost"), reuse=True)
    with progress.step(f"synthesise the stacks of {environment.name}") as step:
        if not cdk.synth(step):
            step.outcome("as they were: their input is unchanged")
        resources = Resources.of_assembly(read_assembly(cdk.assembly).values())
    return make_report(environment.name, environment.region, resources, cost, book, today)


def assumed(cost: Cost, given: Mapping[str, str]) -> Cost:
    """Return a copy in which some assumptions of use are replaced.

    Raises:
        InputError: There is no such assumption, or it is not told by such a value.
    """
    for key, value in given.items():
        if key not in Usage.model_fields:
            known = list(Usage.model_fields)
            raise InputError(
                f"--usage {key}={value}: there is no assumption {shown(key)}{did_you_mean(key, known)}; there are {', '.join(known)}"
            )
    try:
        # `strict=False`, since an option's value is a text.
        usage = Usage.model_validate({**cost.usage.model_dump(), **given}, strict=False)
    except ValidationError as error:
        told = "; ".join(
            f"{each['loc'][0]}={each['input']}: {each['msg'][:1].lower()}{each['msg'][1:]}" for each in error.errors()
        )
        raise InputError(f"--usage {told}") from error
    return cost.model_copy(update={"usage": usage})
