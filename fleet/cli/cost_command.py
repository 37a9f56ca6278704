"""`fleet cost`: what an environment costs a month."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from catalog import load_environment
from catalog.load import environment_names
from fleet.children import ended_by_signals
from fleet.cli.cost_output import print_differences, print_report
from fleet.cli.errors import EXIT_WANTING, InputError
from fleet.cli.options import DEFAULT_CATALOG, CatalogOption, EnvOption
from fleet.cli.output import new_app
from fleet.cli.progress import PrintedProgress
from fleet.cost.compare import read_plain
from fleet.cost.prices import PriceBook, load_prices
from fleet.cost.run import assumed, cost_report

app = new_app("Tell what an environment costs a month, from its templates.")


@app.command()
def command(
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    output: Annotated[
        Literal["text", "json", "markdown"], typer.Option("--format", help="How the result is printed.")
    ] = "text",
    *,
    by: Annotated[
        Literal["line", "service"], typer.Option("--by", help="A row for each thing that is paid for, or each service.")
    ] = "line",
    compare: Annotated[
        str | None,
        typer.Option(
            "--compare", metavar="ENV|FILE", help="Tell what differs from another environment, or from a saved JSON."
        ),
    ] = None,
    usage: Annotated[
        list[str] | None,
        typer.Option(
            "--usage", metavar="KEY=VALUE", help="Another assumption than the environment's; may be repeated."
        ),
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(
            "--prices", metavar="FILE", help="Prices that take the place of ours: another region's, or your own."
        ),
    ] = None,
) -> None:
    """Tell what an environment costs a month; exit 1 where its base is above `cost.max_base_usd`, or cannot be told."""
    environment = load_environment(env)
    cost = assumed(environment.cost, dict(_pair(each) for each in usage or ()))
    book = load_prices()
    if prices:
        book = book.replaced_by(load_prices(prices))
    today = datetime.now(UTC).date()
    with ended_by_signals():
        other = _other(compare, catalog, book) if compare else None
        report = cost_report(environment, catalog, cost, book, today, PrintedProgress())
    if other is not None:
        print_differences(other, report, output)
    else:
        print_report(report, output, by)
    if not report.is_within_budget:
        raise typer.Exit(EXIT_WANTING)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--usage {text}: KEY=VALUE is wanted, such as --usage log_gb=50")
    return key, value


def _other(named: str, catalog: Path, book: PriceBook) -> dict[str, Any]:
    """Return the plain report of another environment, or the one in a file."""
    if named not in environment_names():
        if not Path(named).is_file():
            raise InputError(f"--compare {named}: neither an environment ({', '.join(environment_names())}) nor a file")
        return read_plain(Path(named))
    environment = load_environment(named)
    today = datetime.now(UTC).date()
    return cost_report(environment, catalog, environment.cost, book, today, PrintedProgress()).to_plain()
