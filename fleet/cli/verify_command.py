"""`fleet verify`: whether an environment is what the catalog says."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from catalog import load_catalog, load_environment
from fleet.account import open_account
from fleet.children import ended_by_signals
from fleet.cli.errors import EXIT_WANTING
from fleet.cli.options import DEFAULT_CATALOG, CatalogOption, EnvOption, FormatOption
from fleet.cli.output import new_app
from fleet.cli.progress import PrintedProgress
from fleet.cli.verification import print_report
from fleet.verify.run import verify
from fleet.verify.scope import scope_of
from fleet.verify.send_alert import send_test_alert

app = new_app("Compare an environment with the catalog.")


@app.command()
def command(
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    output: FormatOption = "text",
    *,
    gateway: Annotated[
        str | None,
        typer.Option("--gateway", metavar="URL", help="Ask every service through the gateway at this address, too."),
    ] = None,
    send: Annotated[
        bool,
        typer.Option("--send-test-alert", help="Force one alarm, and prove that its message is delivered."),
    ] = False,
) -> None:
    """Compare an environment with the catalog, and score its readiness; exit 1 where anything is wanting."""
    environment = load_environment(env)
    scope = scope_of(load_catalog(catalog), environment, open_account(environment), gateway)
    report = verify(scope)
    if send:
        with ended_by_signals(), PrintedProgress().step("send a test alert") as step:
            sent = send_test_alert(scope, step)
        report = replace(report, checks=(*report.checks, *sent))
    print_report(report, output)
    if not report.good:
        raise typer.Exit(EXIT_WANTING)
