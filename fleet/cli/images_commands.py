"""`fleet images`: whether the container images are there, and how they get there."""

from __future__ import annotations

from typing import Any

import typer

from catalog import load_catalog, load_environment
from fleet.account import Account, open_account
from fleet.children import ended_by_signals
from fleet.cli.errors import EXIT_WANTING
from fleet.cli.options import DEFAULT_CATALOG, CatalogOption, EnvOption, FormatOption
from fleet.cli.output import Format, new_app, result, result_json, say, styled, table
from fleet.cli.progress import PrintedProgress
from fleet.images.check import ARCHITECTURE_NAMES, ImageFinding, check_images
from fleet.images.push import push_images
from fleet.images.required import required_images

app = new_app("Check and push the container images that the catalog asks for.")


@app.command()
def check(env: EnvOption = "local", catalog: CatalogOption = DEFAULT_CATALOG, output: FormatOption = "text") -> None:
    """Tell which images are missing, for the processors that will run them; exit 1 when one is."""
    _, findings = _findings(env, catalog)
    _print(findings, output)
    if any(finding.missing for finding in findings):
        raise typer.Exit(EXIT_WANTING)


@app.command()
def push(env: EnvOption = "local", catalog: CatalogOption = DEFAULT_CATALOG, output: FormatOption = "text") -> None:
    """Build and push what is missing; in the local AWS, only make the records that a deployment looks for."""
    account, findings = _findings(env, catalog)
    missing = [finding.image for finding in findings if finding.missing]
    if missing:
        with ended_by_signals():
            push_images(account, missing, PrintedProgress())
    else:
        say("every image is there already")
    _print(_findings(env, catalog)[1], output)


def _findings(env: str, catalog: Any) -> tuple[Account, list[ImageFinding]]:
    account = open_account(load_environment(env))
    return account, check_images(account, required_images(load_catalog(catalog), env))


def _print(findings: list[ImageFinding], output: Format) -> None:
    if output == "json":
        result_json([_record(finding) for finding in findings])
        return
    rows = [
        (record["image"], ", ".join(record["architectures"]), len(record["services"]), record["missing"] or "there")
        for record in map(_record, findings)
    ]
    result(table(("image", "for", "services", "state"), rows, right=[2]))
    missing = sum(finding.missing is not None for finding in findings)
    result(
        styled(f"{missing} of {len(findings)} images missing", "red")
        if missing
        else f"{len(findings)} of {len(findings)} images there"
    )


def _record(finding: ImageFinding) -> dict[str, Any]:
    image = finding.image
    return {
        "image": image.reference,
        "architectures": sorted(ARCHITECTURE_NAMES[wanted] for wanted in image.architectures),
        "services": list(image.services),
        "missing": finding.missing,
    }
