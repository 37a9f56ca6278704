"""From the catalog, and from what the user asks for, to the plan that workers follow."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from catalog.catalog import Catalog
from catalog.digest import catalog_digest
from catalog.faults import did_you_mean
from fleet.errors import InputError
from fleet.load_test.bodies import NOT_THERE, Effect, bodies_of, effect_of, expanded
from fleet.load_test.scenario import Scenario, ScenarioStage, Share
from load_test.plan import Plan, Stage, Target

LARGEST_PLAN_BYTES = 900_000  # a worker reads a million at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user asks for by options of the command."""

    rate: float = 200.0
    callers: int | None = None
    seconds: float = 60.0
    ramp_seconds: float = 10.0
    services: Sequence[str] = ()
    subjects: Sequence[str] = ()
    writes: bool = False
    seed: int = 1
    max_in_flight: int = 1000

    def as_scenario(self) -> Scenario:
        """Return the same as a scenario, whose mix stays open."""
        goal = {"callers": self.callers} if self.callers is not None else {"rate": self.rate}
        ramp = [ScenarioStage(**goal, start=0.0, seconds=self.ramp_seconds, warm_up=True)] if self.ramp_seconds else []
        return Scenario(
            seed=self.seed,
            max_in_flight=self.max_in_flight,
            stages=[*ramp, ScenarioStage(**goal, seconds=self.seconds)],
        )


def new_run(now: datetime) -> str:
    """Return a name for a run; names are in the order of time."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def make_plan(
    catalog: Catalog, environment: str, scenario: Scenario, wishes: Wishes, *, run: str, workers: int
) -> Plan:
    """Return the plan of a scenario.

    Raises:
        InputError: Nothing is left to ask, a name is unknown, or the plan is too large.
    """
    mix = _chosen(catalog, wishes, scenario.mix or _whole_mix(catalog, wishes))
    owners = {subject: service.name for service in catalog.enabled for subject in service.nats.serves}
    plan = Plan(
        run=run,
        environment=environment,
        catalog_digest=catalog_digest(catalog),
        seed=scenario.seed,
        workers=workers,
        stages=tuple(_stages(scenario.stages)),
        targets=tuple(_target(catalog, owners, share) for share in mix),
        max_in_flight=scenario.max_in_flight,
    )
    size = len(json.dumps(plan.to_plain()))
    if size > LARGEST_PLAN_BYTES:
        raise InputError(
            f"the plan has {size} bytes; at most {LARGEST_PLAN_BYTES} are allowed: give fewer or smaller bodies"
        )
    return plan


def left_out(catalog: Catalog, *, writes: bool) -> dict[str, str]:
    """Return the idempotent subjects that are not in the mix when nobody says otherwise, and why."""
    reasons = {
        Effect.OWN: "writes; --writes brings it in",
        Effect.EVERYBODY: "changes the world for everybody; only a scenario that names it asks it",
    }
    found = {}
    for name, subject in catalog.subjects.items():
        effect = effect_of(subject.request)
        if subject.idempotent and effect > (Effect.OWN if writes else Effect.NOTHING):
            found[name] = reasons[effect]
    return found


def _whole_mix(catalog: Catalog, wishes: Wishes) -> list[Share]:
    out = {} if wishes.subjects else left_out(catalog, writes=wishes.writes)
    return [Share(subject=name) for name, subject in catalog.subjects.items() if subject.idempotent and name not in out]


def _chosen(catalog: Catalog, wishes: Wishes, mix: Sequence[Share]) -> list[Share]:
    """Return the part of a mix that the user wants."""
    for name in wishes.services:
        if name not in {service.name for service in catalog.enabled}:
            near = did_you_mean(name, [service.name for service in catalog.enabled])
            raise InputError(f"no enabled service is called {name!r}{near}")
    known = {share.subject for share in mix}
    for subject in wishes.subjects:
        if subject not in known:
            served = catalog.subjects.get(subject)
            why = (
                f"no enabled service answers {subject!r}{did_you_mean(subject, catalog.subjects)}"
                if served is None
                else f"{subject!r} is not idempotent, and NATS lets a load test ask nothing else"
                if not served.idempotent
                else f"{subject!r} is not in the scenario's mix"
            )
            raise InputError(why)
    asked = {name for service in wishes.services for name in catalog.services[service].nats.serves}
    found = [
        share
        for share in mix
        if (not wishes.services or share.subject in asked) and (not wishes.subjects or share.subject in wishes.subjects)
    ]
    if not found:
        raise InputError("nothing is left to ask: a load test asks idempotent subjects, and of these you chose none")
    return found


def _stages(stages: Sequence[ScenarioStage]) -> list[Stage]:
    made: list[Stage] = []
    for stage in stages:
        kind, end = ("rate", stage.rate) if stage.rate is not None else ("callers", float(stage.callers or 0))
        before = made[-1].end if made and made[-1].kind == kind else end
        begin = before if stage.start is None else stage.start
        assert end is not None  # noqa: S101  # the scenario's check has seen to it
        made.append(Stage("rate" if kind == "rate" else "callers", begin, end, stage.seconds, not stage.warm_up))
    return made


def _target(catalog: Catalog, owners: dict[str, str], share: Share) -> Target:
    served = catalog.subjects[share.subject]
    return Target(
        service=owners[share.subject],
        subject=share.subject,
        request=served.request,
        reply=served.reply,
        timeout_seconds=served.timeout_seconds,
        weight=share.weight,
        bodies=expanded(share.bodies) if share.bodies else bodies_of(served.request),
        # That a thing is not there is a good answer to who names it without knowing.
        accepts=tuple(share.accepts) if share.bodies or share.accepts else (NOT_THERE,),
    )
