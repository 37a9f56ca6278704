"""The command `fleet`: one row a command, each imported only when it is called."""

from __future__ import annotations

import gc
from typing import Annotated, ClassVar

import typer

from fleet.cli.lazy import LazyCommand, LazyGroup
from fleet.cli.output import result

_COLLECTIONS_ARE_RARE = (50_000, 20, 20)


class FleetGroup(LazyGroup):
    """The commands of `fleet`."""

    lazy_commands: ClassVar[dict[str, LazyCommand]] = {
        "catalog": LazyCommand("fleet.cli.catalog_commands", "Check, read and edit the service catalog."),
        "deploy": LazyCommand("fleet.cli.deploy_command", "Deploy the whole catalog to an environment, and verify it."),
        "verify": LazyCommand("fleet.cli.verify_command", "Compare an environment with the catalog."),
        "report": LazyCommand("fleet.cli.report_command", "Write how ready an environment is to a page."),
        "diff": LazyCommand("fleet.cli.diff_command", "Show what a deployment would change."),
        "destroy": LazyCommand("fleet.cli.destroy_command", "Remove an environment, all but what is retained."),
        "certs": LazyCommand("fleet.cli.certs_commands", "Issue, renew and look at the certificates."),
        "nats": LazyCommand("fleet.cli.nats_commands", "Look at the NATS cluster, roll it, back it up, restore it."),
        "loadtest": LazyCommand("fleet.cli.loadtest_command", "Put load on the services, and judge what comes back."),
        "cost": LazyCommand("fleet.cli.cost_command", "Tell what an environment costs a month, from its templates."),
        "images": LazyCommand("fleet.cli.images_commands", "Check and push the container images."),
        "drill": LazyCommand("fleet.cli.drill_command", "Break something on purpose, and see what it comes to."),
        "local": LazyCommand("fleet.cli.local_commands", "Start, find and stop the AWS on this machine."),
    }


app = typer.Typer(
    name="fleet",
    cls=FleetGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  # Typer calls it so
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  # slow, and hardly ever asked for

        result(version("gaming-system-fleet"))
        raise typer.Exit


@app.callback()
def fleet(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run a fleet of NATS services on AWS: everything follows from one catalog.

    Results go to stdout, the rest to stderr. Exit codes: 0 good, 1 found wanting, 2 bad input or usage.
    """
    del version


def main() -> None:
    """Run the command line."""
    gc.set_threshold(*_COLLECTIONS_ARE_RARE)  # imports make garbage that is not worth looking for
    app(prog_name="fleet")
