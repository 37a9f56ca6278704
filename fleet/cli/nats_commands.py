"""`fleet nats`: the NATS cluster of an environment."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from catalog import load_environment, names
from catalog.edit_environment import pin_machine_image
from catalog.environment import Environment
from catalog.load import ENVIRONMENTS
from fleet.account import open_account
from fleet.children import ended_by_signals
from fleet.cli.ask import confirm
from fleet.cli.errors import EXIT_WANTING
from fleet.cli.options import EnvOption, FormatOption, YesOption
from fleet.cli.output import new_app, result, result_json, say, styled, table
from fleet.cli.progress import PrintedProgress
from fleet.errors import InputError
from fleet.nats import cluster_findings, newest_machine_image, node_rows, task
from fleet.nats import roll as roll_nodes

app = new_app("Look at the NATS cluster, roll it, back it up, restore it, pin its machine image.")


@app.command()
def status(env: EnvOption = "local", output: FormatOption = "text") -> None:
    """Show each node: its health, what it sees, and whether it runs on what it should; exit 1 where anything is wanting."""
    environment = load_environment(env)
    told = task(open_account(environment), environment, "status")
    answers = "reason" not in told
    findings = cluster_findings(told) if answers else []
    if output == "json":
        rows = [asdict(row) for row in node_rows(told)]
        result_json({"nodes": rows, "wanted": told["wanted"], "findings": findings, "reason": told.get("reason")})
    else:
        if answers:
            cells = [
                (
                    row.node,
                    row.machine,
                    row.health,
                    "yes" if row.leader else "",
                    row.routes,
                    "yes" if row.is_current else "no",
                )
                for row in node_rows(told)
            ]
            result(table(("node", "machine", "health", "leader", "routes", "current"), cells, right=[4]))
        else:
            result(
                f"version {told['wanted'].get('version', 0)} of the configuration is in the bucket; {told['reason']}"
            )
        for finding in findings:
            result(f"{styled('wanting', 'red')}: {finding}")
    if findings:
        raise typer.Exit(EXIT_WANTING)


@app.command()
def roll(
    env: EnvOption = "local",
    output: FormatOption = "text",
    *,
    every: Annotated[bool, typer.Option("--every", help="Replace machines that are not outdated, too.")] = False,
    yes: YesOption = False,
) -> None:
    """Replace the machines that are outdated, one at a time, each only when the cluster is whole."""
    environment = load_environment(env)
    account = open_account(environment)
    _agreed(
        environment, f"replace {'every' if every else 'each outdated'} NATS machine of {env}, one at a time?", yes=yes
    )
    with ended_by_signals(), PrintedProgress().step("roll the NATS machines") as step:
        execution = roll_nodes(account, environment, step, every=every)
    _tell(output, {"execution": execution}, f"rolled: {execution}")


@app.command()
def backup(env: EnvOption = "local", output: FormatOption = "text") -> None:
    """Back up every stream and bucket now."""
    environment = load_environment(env)
    told = task(open_account(environment), environment, "backup")
    if told.get("backup") is None:
        raise InputError(f"nothing was backed up: {told['reason']}")
    _tell(output, told, f"backup {told['backup']}: {told.get('streams')} streams, {told.get('bytes')} bytes")


@app.command()
def restore(
    env: EnvOption = "local",
    output: FormatOption = "text",
    *,
    backup_name: Annotated[str, typer.Option("--backup", help="Which backup: a time, as they are named.")] = "latest",
    streams: Annotated[
        list[str] | None, typer.Option("--stream", help="Only this stream, or KV_NAME for a bucket; may be repeated.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also where a stream of that name holds data, which is lost.")
    ] = False,
    yes: YesOption = False,
) -> None:
    """Restore streams and buckets from a backup, checksums first; one that holds data is left alone unless told otherwise."""
    environment = load_environment(env)
    account = open_account(environment)
    what = ", ".join(streams) if streams else "every stream and bucket"
    _agreed(environment, f"restore {what} of {env} from backup {backup_name}?", yes=yes)
    told = task(account, environment, "restore", backup=backup_name, streams=streams or [], overwrite=overwrite)
    if "reason" in told:
        raise InputError(f"nothing was restored: {told['reason']}")
    _tell(output, told, f"restored from {told.get('backup')}: {', '.join(told.get('restored', ())) or 'nothing'}")


@app.command()
def streams(
    env: EnvOption = "local",
    output: FormatOption = "text",
    *,
    allow_data_loss: Annotated[
        list[str] | None, typer.Option("--allow-data-loss", help="A stream that may lose data by it; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    yes: YesOption = False,
) -> None:
    """Make streams, consumers and buckets as the last deployment asked; what would lose data is refused."""
    environment = load_environment(env)
    account = open_account(environment)
    if allow_data_loss and not dry_run:
        _agreed(environment, f"let {', '.join(allow_data_loss)} of {env} lose data?", yes=yes)
    told = task(account, environment, "streams", allow_data_loss=allow_data_loss or [], dry_run=dry_run)
    if "reason" in told:
        raise InputError(f"nothing was made: {told['reason']}")
    _tell(
        output,
        told,
        f"changed: {told.get('changed') or 'nothing'}; kept, although nobody asks for it: {told.get('kept') or 'nothing'}",
    )


@app.command()
def ami(
    env: EnvOption = "local",
    output: FormatOption = "text",
    *,
    update: Annotated[bool, typer.Option("--update", help="Pin the newest in environments/ENV.yaml.")] = False,
) -> None:
    """Show the pinned machine image and the newest; exit 1 where they differ and are not made the same."""
    environment = load_environment(env)
    newest = newest_machine_image(open_account(environment))
    pinned = environment.nats.ami_id
    changed = update and pin_machine_image(ENVIRONMENTS / f"{env}.yaml", newest)
    plain = {"pinned": newest if changed else pinned, "newest": newest, "changed": changed}
    text = f"pinned {pinned}, newest {newest}" + (
        ": pinned now; the next deployment rolls the machines" if changed else ""
    )
    _tell(output, plain, text)
    if pinned != newest and not changed:
        say(f"pin it: fleet nats ami --env {env} --update")
        raise typer.Exit(EXIT_WANTING)


def _agreed(environment: Environment, question: str, *, yes: bool) -> None:
    """Ask before something is changed in production.

    Raises:
        InputError: Nobody says yes.
    """
    if environment.name == names.PRODUCTION and not yes and not confirm(question):
        raise InputError("nothing was done")


def _tell(output: str, plain: dict[str, Any], text: str) -> None:
    if output == "json":
        result_json(plain)
    else:
        result(text)
