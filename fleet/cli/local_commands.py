"""`fleet local`: the AWS on this machine that `make deploy` deploys to, and the fleet that runs on it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fleet.children import ended_by_signals
from fleet.cli.errors import EXIT_WANTING
from fleet.cli.local_alerts import alerts
from fleet.cli.output import Format, new_app, result, result_json, say, styled, table
from fleet.cli.progress import PrintedProgress
from fleet.local.server import LocalAws, as_record

app = new_app("The fleet on this machine: the local AWS, and the processes of what is deployed there.")
FormatOption = Annotated[Format, typer.Option("--format", help="How the result is printed.")]
MinuteOption = Annotated[
    float | None,
    typer.Option(
        "--minute-seconds",
        min=1,
        max=60,
        help="How long a minute of metrics, alarms and health checks takes.",
        show_default="60, or as it is where it runs already",
    ),
]
NoCacheOption = Annotated[bool, typer.Option("--no-cache", help="Run no cache; the services do without.")]


@app.command()
def up(*, no_cache: NoCacheOption = False, minute_seconds: MinuteOption = None) -> None:
    """Run what is deployed: the local AWS, the NATS nodes, the cache, and every task; they outlive this command.

    Ctrl-C ends what it has started.
    """
    from fleet.local.plane.up import bring_up  # noqa: PLC0415 - it costs what the other commands need not pay

    with ended_by_signals():
        bring_up(PrintedProgress(), minute_seconds=minute_seconds, has_cache=False if no_cache else None)


@app.command()
def down(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the plane's folder: ports, logs and the disks of the NATS nodes.")
    ] = False,
) -> None:
    """End everything that runs here: tasks, nodes, cache and the local AWS, which keeps what is deployed."""
    from fleet.local.plane.client import LocalPlane  # noqa: PLC0415

    ran = LocalPlane().stop(forget=not keep)
    ran_aws = LocalAws().stop()
    say("the local plane has stopped" if ran else "the local plane did not run")
    say("the local AWS has stopped" if ran_aws else "the local AWS did not run")


@app.command()
def ps(output: FormatOption = "text") -> None:
    """Show what runs: health, restarts, memory; exit 1 where something is not healthy, or nothing runs."""
    from fleet.local.plane.client import LocalPlane  # noqa: PLC0415
    from fleet.local.plane.overview import overview  # noqa: PLC0415

    found = overview(LocalPlane().asked().ask("status", memory=True))
    if output == "json":
        result_json(found)
    else:
        result(_processes(found["processes"]))
        total = found["memory"]
        say(
            f"{len(found['processes'])} processes, {total['proportional_mib']:.0f} MiB of memory in all "
            f"({total['resident_mib']:.0f} MiB where what they share counts for each), the supervisor among them; "
            f"a minute takes {found['minute_seconds']:g} s"
        )
        for wanting in found["wanting"]:
            say(f"{styled('wanting', 'red')}: {wanting}")
    if found["wanting"]:
        raise typer.Exit(EXIT_WANTING)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A service, a task's id, a NATS node or `cache`.")],
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="How many lines of each process to begin with.")
    ] = 50,
) -> None:
    """Print what a service says, each of its tasks, those that ended a moment ago too."""
    from fleet.local.plane.client import LocalPlane  # noqa: PLC0415
    from fleet.local.plane.log_view import log_lines  # noqa: PLC0415

    plane = LocalPlane().asked()
    with ended_by_signals():
        try:
            for line in log_lines(plane, name, last=lines, follow=follow):
                result(line)
        except KeyboardInterrupt:
            raise typer.Exit from None


app.command()(alerts)


@app.command()
def call(
    subject: Annotated[str, typer.Argument(help="Subject of a service.")],
    request: Annotated[str, typer.Argument(help="The request, in protobuf's JSON.")] = "{}",
) -> None:
    """Ask a service over NATS, as the identity `loadtest`, which may ask what is idempotent; prints the reply as JSON."""
    import asyncio  # noqa: PLC0415

    from catalog import load_catalog, load_environment  # noqa: PLC0415
    from fleet.account import open_account  # noqa: PLC0415
    from fleet.cli.options import DEFAULT_CATALOG  # noqa: PLC0415
    from fleet.local.plane.call import call_subject  # noqa: PLC0415
    from fleet.local.plane.client import LocalPlane  # noqa: PLC0415

    plane = LocalPlane().asked()
    environment = load_environment("local")
    reply = asyncio.run(
        call_subject(load_catalog(DEFAULT_CATALOG), environment, open_account(environment), plane, subject, request)
    )
    result(reply)


@app.command()
def start(output: FormatOption = "text") -> None:
    """Start the local AWS alone, with what was deployed there last; it outlives this command."""
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


def _processes(rows: list[dict[str, Any]]) -> str:
    headers = ("name", "id", "health", "pid", "port", "memory", "limit", "restarts")
    cells = [
        (
            row["name"],
            row["id"][:8],
            row["health"],
            row["pid"] or "",
            row["port"] or "",
            f"{row['memory_mib']:.0f}",
            row["memory_limit_mib"] or "",
            row["restarts"],
        )
        for row in rows
    ]
    return table(headers, cells, right=(3, 4, 5, 6, 7))
