"""`fleet report`: how ready an environment is, as a page that can be sent and kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from catalog import load_catalog, load_environment
from fleet import project
from fleet.account import open_account
from fleet.children import ended_by_signals
from fleet.cli.errors import EXIT_WANTING
from fleet.cli.options import DEFAULT_CATALOG, CatalogOption, EnvOption, FormatOption
from fleet.cli.output import new_app, result, result_json, say
from fleet.cli.progress import PrintedProgress
from fleet.cli.verification import report_plain
from fleet.cost.prices import load_prices
from fleet.cost.run import cost_report
from fleet.load_test.store import newest_result
from fleet.report.page import page
from fleet.verify.run import verify
from fleet.verify.scope import scope_of

app = new_app("Write how ready an environment is to a page.")


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
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the page goes; .local/reports/ENV.html otherwise.")
    ] = None,
) -> None:
    """Verify an environment, and write a page with verdict, scorecard, cost and evidence; exit 1 where anything is wanting."""
    environment = load_environment(env)
    scope = scope_of(load_catalog(catalog), environment, open_account(environment), gateway)
    report = verify(scope)
    now = datetime.now(UTC)
    with ended_by_signals():
        cost = cost_report(environment, catalog, environment.cost, load_prices(), now.date(), PrintedProgress())
    place = out or project.STATE / "reports" / f"{env}.html"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(page(report, newest_result(scope.account, env), cost, now), encoding="utf-8")
    if output == "json":
        result_json({**report_plain(report), "cost": cost.to_plain(), "page": str(place)})
    else:
        result(report.verdict)
        say(f"the page: {place}")
    if not report.good:
        raise typer.Exit(EXIT_WANTING)
