"""`fleet drill`: break something on purpose, and see that what is there for it does its work."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated

import typer

from catalog import load_catalog, load_environment
from catalog.environment import Environment
from catalog.names import PRODUCTION
from fleet.account import open_account
from fleet.children import ended_by_signals
from fleet.cli.ask import confirm
from fleet.cli.errors import EXIT_WANTING, InputError
from fleet.cli.options import DEFAULT_CATALOG, CatalogOption, EnvOption, FormatOption, YesOption
from fleet.cli.output import Format, new_app, result, result_json, styled, table
from fleet.cli.progress import PrintedProgress
from fleet.drills.findings import Outcome
from fleet.drills.frame import Drill, check_place, run_drill
from fleet.drills.registry import DRILLS
from fleet.local.server import ENVIRONMENT
from fleet.verify.scope import scope_of

app = new_app("Break something on purpose, and see that what is there for it does its work.")


@app.command()
def command(
    name: Annotated[str | None, typer.Argument(help="The drill; --list shows them all.", metavar="NAME")] = None,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    output: FormatOption = "text",
    *,
    list_them: Annotated[bool, typer.Option("--list", help="List the drills.")] = False,
    service: Annotated[str | None, typer.Option("--service", help="The service to break, where it is one.")] = None,
    production: Annotated[bool, typer.Option("--production", help="Allow it in production, too.")] = False,
    yes: YesOption = False,
) -> None:
    """Break something on purpose, under load, and put it back; exit 1 where anything was not as expected."""
    if list_them:
        _print_list(output)
        return
    drill = _find(name)
    environment = load_environment(env)
    scope = scope_of(load_catalog(catalog), environment, open_account(environment))
    check_place(drill, scope)
    _agreed(drill, environment, production=production, yes=yes)
    with ended_by_signals(), PrintedProgress().step(f"drill {drill.name}") as step:
        outcome = run_drill(drill, scope, step, service)
        step.outcome("as expected" if outcome.passed else f"{len(outcome.broken)} not as expected")
    _print(outcome, output)
    if not outcome.passed:
        raise typer.Exit(EXIT_WANTING)


def _find(name: str | None) -> Drill:
    if name is None:
        raise InputError("name a drill; `fleet drill --list` shows them all")
    if drill := DRILLS.get(name):
        return drill
    near = get_close_matches(name, DRILLS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise InputError(f"there is no drill {name!r}{hint}\n  there are: {', '.join(DRILLS)}")


def _agreed(drill: Drill, environment: Environment, *, production: bool, yes: bool) -> None:
    """Have what runs elsewhere than on this machine be asked about first, and production be named as such.

    Raises:
        InputError: Nobody has said so.
        typer.Abort: The user says no.
    """
    if environment.name == ENVIRONMENT:
        return
    if environment.name == PRODUCTION and not production:
        raise InputError(
            f"{environment.name} serves players: a drill there needs --production, too\n"
            "  run it elsewhere first, and there when those who are on call know of it"
        )
    if not yes and not confirm(f"{drill.name} in {environment.name}: {drill.summary} Break it?"):
        raise typer.Abort


def _print_list(output: Format) -> None:
    rows = [(drill.name, "local, AWS" if drill.in_aws else "local", drill.summary) for drill in DRILLS.values()]
    if output == "json":
        result_json([{"name": name, "where": where.split(", "), "summary": told} for name, where, told in rows])
    else:
        result(table(("drill", "where", "what"), rows))


def _print(outcome: Outcome, output: Format) -> None:
    if output == "json":
        result_json(outcome.to_plain())
        return
    colours = {"held": "green", "broken": "red", "not seen": "yellow"}
    rows = [(one.expected, one.observed, one.status) for one in outcome.findings]
    text = table(("expected", "observed", ""), rows)
    for status, colour in colours.items():
        text = "\n".join(
            f"{line.removesuffix(status)}{styled(status, colour)}" if line.endswith(f" {status}") else line  # type: ignore[arg-type]
            for line in text.splitlines()
        )
    result(text)
    verdict = "as expected" if outcome.passed else f"{len(outcome.broken)} of {len(rows)} not as expected"
    told = f"{outcome.drill} of {outcome.target} in {outcome.environment}: {verdict}, {outcome.seconds:.0f} s"
    result(styled(told, "green" if outcome.passed else "red"))
