"""`fleet deploy`: from the catalog to a verified environment."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog import load_catalog, load_environment
from fleet.children import ended_by_signals
from fleet.cli.ask import check_somebody_answers, confirm
from fleet.cli.errors import EXIT_WANTING
from fleet.cli.options import DEFAULT_CATALOG, CatalogOption, EnvOption, FormatOption, VerboseOption, YesOption
from fleet.cli.output import new_app, say
from fleet.cli.progress import PrintedProgress
from fleet.cli.verification import print_report
from fleet.deploy.flow import Request, deploy
from fleet.local.plane.client import LocalPlane
from fleet.local.server import ENVIRONMENT
from fleet.verify.run import verify
from fleet.verify.scope import scope_of

app = new_app("Deploy the whole catalog to an environment, and verify it.")


@app.command()
def command(
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    output: FormatOption = "text",
    *,
    yes: YesOption = False,
    verbose: VerboseOption = False,
    no_plane: Annotated[
        bool, typer.Option("--no-plane", help="Locally: deploy and verify the control plane alone; nothing runs.")
    ] = False,
) -> None:
    """Deploy the whole catalog to an environment, and verify it.

    The local environment is prepared on the way, and what is deployed runs on this machine; any other one must be prepared, and is
    shown and asked about first.
    """
    environment = load_environment(env)
    request = Request(
        catalog=load_catalog(catalog),
        catalog_path=catalog,
        environment=environment,
        verbose=verbose,
        check_can_ask=None if yes else check_somebody_answers,
        confirm=None if yes else confirm,
        plane=LocalPlane() if environment.name == ENVIRONMENT and not no_plane else None,
    )
    progress = PrintedProgress()
    with ended_by_signals():
        account = deploy(request, progress)
        with progress.step("verify what is deployed"):
            report = verify(scope_of(request.catalog, environment, account))
    say("")
    print_report(report, output)
    if not report.good:
        raise typer.Exit(EXIT_WANTING)
