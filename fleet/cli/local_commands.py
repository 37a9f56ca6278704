"""`fleet local`: the AWS on this machine that `make deploy` deploys to."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.children import ended_by_signals
from fleet.cli.errors import EXIT_WANTING
from fleet.cli.local_alerts import alerts
from fleet.cli.output import Format, new_app, result, result_json, say, table
from fleet.cli.progress import PrintedProgress
from fleet.local.server import LocalAws, as_record

app = new_app("Start, find and stop the AWS on this machine.")
FormatOption = Annotated[Format, typer.Option("--format", help="How the result is printed.")]

app.command()(alerts)


@app.command()
def start(output: FormatOption = "text") -> None:
    """Start the local AWS with what was deployed there last; it outlives this command."""
    with ended_by_signals(), PrintedProgress().step("start the local AWS") as step:
        server = LocalAws().start(step)
    if output == "json":
        result_json(as_record(server))


@app.command()
def stop(
    *,
    forget: Annotated[bool, typer.Option("--forget", help="Remove what is deployed there, too.")] = False,
) -> None:
    """Stop the local AWS; what is deployed there is kept for the next start."""
    ran = LocalAws().stop(forget=forget)
    say("the local AWS has stopped" if ran else "the local AWS did not run")
    if forget:
        say("and has forgotten what was deployed there")


@app.command()
def status(output: FormatOption = "text") -> None:
    """Tell whether the local AWS runs, and where; exit 1 when it does not."""
    server = LocalAws().running()
    if output == "json":
        result_json({"running": server is not None, **(as_record(server) if server else {})})
    elif server:
        result(table(("endpoint", "region", "account", "pid"), [tuple(as_record(server).values())]))
    else:
        say("the local AWS does not run; start it: fleet local start")
    if server is None:
        raise typer.Exit(EXIT_WANTING)
