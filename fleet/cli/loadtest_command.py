"""`fleet loadtest`: load on an environment's services, judged by the environment's objectives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from catalog import load_catalog, load_environment, names
from catalog.environment import Environment
from fleet import project
from fleet.account import Account, open_account
from fleet.children import ended_by_signals
from fleet.cli.ask import confirm
from fleet.cli.errors import EXIT_WANTING
from fleet.cli.options import DEFAULT_CATALOG, CatalogOption, EnvOption, FormatOption, YesOption
from fleet.cli.output import new_app, result, result_json, say, styled, table
from fleet.cli.progress import PrintedProgress
from fleet.errors import InputError
from fleet.load_test.command import prepare, run
from fleet.load_test.planning import Wishes, left_out, make_plan, new_run
from fleet.load_test.result import Result
from fleet.load_test.scenario import load_scenario
from fleet.local.plane.client import LocalPlane
from load_test.plan import Plan

app = new_app("Put load on the services, and judge what comes back.")
_MOST_WORKERS = 100


@app.command()
def command(
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    output: FormatOption = "text",
    *,
    rate: Annotated[
        float, typer.Option("--rate", min=0.1, help="Requests a second, whether or not answers come.")
    ] = 200,
    callers: Annotated[
        int | None, typer.Option("--callers", min=1, help="In place of a rate: callers that wait for each answer.")
    ] = None,
    duration: Annotated[float, typer.Option("--duration", min=1, help="Seconds that count.")] = 60,
    ramp: Annotated[float, typer.Option("--ramp", min=0, help="Seconds before that, in which the load grows.")] = 10,
    scenario: Annotated[
        Path | None, typer.Option("--scenario", help="A file with stages and mix, in place of the four above.")
    ] = None,
    services: Annotated[list[str] | None, typer.Option("--service", help="Ask only this one; may be repeated.")] = None,
    subjects: Annotated[list[str] | None, typer.Option("--subject", help="Ask only this one; may be repeated.")] = None,
    writes: Annotated[
        bool, typer.Option("--writes", help="Ask what leaves things of the load test's own behind, too.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, max=_MOST_WORKERS, help="Workers that share it.")] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same one asks the same in the same order.")] = 1,
    report: Annotated[
        Path | None, typer.Option("--report", help="Where the page goes; .local/load-tests/RUN.html otherwise.")
    ] = None,
    server: Annotated[
        list[str] | None, typer.Option("--server", help="A NATS node in place of the local ones; may be repeated.")
    ] = None,
    yes: YesOption = False,
) -> None:
    """Load the services by the subjects that may be asked twice; exit 1 where an objective of the environment is missed."""
    environment = load_environment(env)
    entries = load_catalog(catalog)
    wishes = Wishes(
        rate=rate,
        callers=callers,
        seconds=duration,
        ramp_seconds=ramp,
        services=services or (),
        subjects=subjects or (),
        writes=writes,
        seed=seed,
    )
    chosen = load_scenario(scenario, entries) if scenario else wishes.as_scenario()
    plan = make_plan(entries, env, chosen, wishes, run=new_run(datetime.now(UTC)), workers=workers)
    account = open_account(environment)
    prepared = prepare(account, environment, entries, plan, _servers(account, server or ()))
    _agreed(environment, plan, yes=yes)
    if not (chosen.mix or subjects):
        for name, why in left_out(entries, writes=writes).items():
            say(styled(f"not asked: {name} {why}", "dim"))
    with ended_by_signals():
        found, page = run(prepared, environment, PrintedProgress())
    place = report or project.STATE / "load-tests" / f"{plan.run}.html"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(page, encoding="utf-8")
    if output == "json":
        plain = found.to_plain()
        result_json({key: value for key, value in plain.items() if key not in {"plan", "measurements"}})
    else:
        _print(found)
    say(f"the page: {place}\nkept: s3://{prepared.store.bucket}/{names.load_test_result(plan.run)}")
    if not found.passed:
        raise typer.Exit(EXIT_WANTING)


def _servers(account: Account, given: Sequence[str]) -> Sequence[str]:
    """Return the NATS nodes on this machine; workers in AWS know theirs.

    Raises:
        InputError: None run, or they were named where they cannot be used.
    """
    if not account.is_local:
        if given:
            raise InputError(
                "--server is for the local environment: workers in AWS run beside the nodes, and know them"
            )
        return ()
    if given:
        return given
    servers: list[str] = LocalPlane().asked().ask("status")["nats_servers"]
    if not servers:
        raise InputError(
            "no NATS node runs in the local plane\n  fleet local ps tells of it; or name one: --server tls://localhost:PORT"
        )
    return servers


def _agreed(environment: Environment, plan: Plan, *, yes: bool) -> None:
    """Ask before production is loaded.

    Raises:
        InputError: Nobody says yes.
    """
    asked = f"load {environment.name} for {plan.seconds:g} s with {_told(plan)}?"
    if environment.name == names.PRODUCTION and not yes and not confirm(asked):
        raise InputError("nothing was done")


def _told(plan: Plan) -> str:
    most = max(plan.stages, key=lambda stage: max(stage.begin, stage.end))
    unit = "requests a second" if most.kind == "rate" else "callers"
    return f"up to {max(most.begin, most.end):g} {unit} on {len(plan.targets)} subjects"


def _print(found: Result) -> None:
    plain = found.to_plain()
    percentiles = ("p50", "p90", "p99", "p99.9", "max")
    rows = [
        (
            name,
            part["due"],
            f"{part['rate']:.1f}",
            f"{part['error_percent']:.2f}",
            *(f"{part[f'{each}_milliseconds']:.1f}" for each in percentiles),
        )
        for name, part in [*plain["services"].items(), ("all", plain["summary"])]
    ]
    headers = ("service", "asked", "answers/s", "errors %", *(f"{each} ms" for each in percentiles))
    result(table(headers, rows, right=range(1, len(headers))))
    result("")
    for kind, number in plain["summary"]["errors"].items():
        result(f"{number} failed, {kind}: {'; '.join(found.measured.samples.get(kind, []))}")
    tester = plain["tester"]
    result(
        f"sent on time: half within {tester['lag_p50_milliseconds']:.2f} ms, 99 of 100 within "
        f"{tester['lag_p99_milliseconds']:.2f} ms; busiest worker {tester['busiest_processor_share']:.0%} of a processor"
    )
    for judgement in found.judgements:
        if not judgement.good:
            result(f"{styled('missed', 'red')}: {judgement.told()}")
    for why in found.spoiled_by:
        effect = "all was met in spite of it" if found.passed else "more --workers, or a quieter machine"
        result(f"{styled('late', 'yellow')}: {why}; {effect}")
    if found.measured.was_stopped:
        result(f"{styled('stopped', 'red')}: it was ended before its time")
    met = sum(judgement.good for judgement in found.judgements)
    result(
        f"{styled(found.verdict, 'green' if found.passed else 'red')}: {met} of {len(found.judgements)} objectives met"
    )
