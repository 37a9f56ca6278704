"""A scenario: stages and mix of a load test, from a YAML file whose every fault is told with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from google.protobuf import json_format
from pydantic import Field

from catalog.catalog import Catalog
from catalog.compose import composed
from catalog.draft import Draft, drafted
from catalog.faults import CatalogError, KeyPath, did_you_mean, in_order, listed, shown
from catalog.model import Model
from catalog.nats_contract import SubjectName
from catalog.source import read_source
from fleet.load_test.bodies import expanded
from proto.generated.gaming.errors.v1 import error_pb2
from proto.messages import message_class

MOST_SECONDS = 24 * 3600
ERROR_CODES = tuple(name.removeprefix("ERROR_CODE_") for name in error_pb2.ErrorCode.keys()[1:])

Seconds = Annotated[float, Field(gt=0, le=MOST_SECONDS)]
Rate = Annotated[float, Field(ge=0, le=1_000_000)]
Callers = Annotated[int, Field(ge=0, le=100_000)]


class ScenarioStage(Model):
    """A part of the test: at a rate, or with callers."""

    rate: Rate | None = None
    """Requests a second at its end, sent whether or not earlier ones have their answers."""
    callers: Callers | None = None
    """Callers at its end, in place of a rate: each waits for its answer before it asks again."""
    start: Rate | None = None
    """The same at its beginning; what the stage before ended with, or `rate` or `callers` of the first one, where the key is missing."""
    seconds: Seconds
    """How long it lasts."""
    warm_up: bool = False
    """Whether it is left out of percentiles, errors and verdict."""


class Share(Model):
    """A subject of the mix."""

    subject: SubjectName
    """Subject of the catalog, with `idempotent: true`."""
    weight: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    """How often it is asked, compared with the others."""
    bodies: list[dict[str, Any]] = Field(default_factory=list)
    """Requests in protobuf's JSON, asked in turns; `{n}` in a text stands for the numbers 0 to 15. Ones that fit where the key is missing."""
    accepts: list[str] = Field(default_factory=list)
    """Codes of errors that are a good answer, such as `NOT_FOUND`."""


class Scenario(Model):
    """What is asked, and how much of it."""

    seed: Annotated[int, Field(ge=0, le=2**31)] = 1
    """The same one asks the same in the same order."""
    max_in_flight: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Requests of one worker that may wait for their answers; one more is not sent, and counts as an error."""
    stages: Annotated[list[ScenarioStage], Field(min_length=1, max_length=100)]
    """One after the other."""
    mix: list[Share] = Field(default_factory=list)
    """What is asked; every subject that a load test may ask, equally often, where the key is missing."""


def load_scenario(file: Path, catalog: Catalog) -> Scenario:
    """Load a scenario for a catalog.

    Raises:
        CatalogError: The file has errors; all of them.
    """
    root, faults = composed(read_source(file))
    draft = drafted(file, Scenario, root, faults, lambda data: {"stages": [{"rate": 1, "seconds": 1}], **data})
    if draft is not None:
        _check_stages(draft)
        for index in range(len(draft.model.mix)):
            _check_share(draft, index, catalog)
    if draft is None or any(fault.severity == "error" for fault in faults):
        raise CatalogError(in_order(faults))
    return draft.model


def _check_stages(draft: Draft[Scenario]) -> None:
    if not draft.given("stages"):
        return
    for index, stage in enumerate(draft.model.stages):
        if (stage.rate is None) == (stage.callers is None):
            given = "neither `rate` nor `callers`" if stage.rate is None else "both `rate` and `callers`"
            draft.report(("stages", index), f"has {given}; give one")
        elif not (stage.rate or stage.callers or stage.start):
            draft.report(("stages", index), "asks nothing from its beginning to its end")
    total = sum(stage.seconds for stage in draft.model.stages)
    if total > MOST_SECONDS:
        draft.report(("stages",), f"last {total:g} s in all; at most a day ({MOST_SECONDS} s) is allowed")
    if all(stage.warm_up for stage in draft.model.stages):
        draft.report(("stages",), "only warm up; at least one must count")


def _check_share(draft: Draft[Scenario], index: int, catalog: Catalog) -> None:
    share = draft.model.mix[index]
    path: KeyPath = ("mix", index)
    if not draft.given(*path, "subject"):
        return
    served = catalog.subjects.get(share.subject)
    if served is None:
        near = did_you_mean(share.subject, catalog.subjects)
        draft.report((*path, "subject"), f"no enabled service answers {shown(share.subject)}{near}")
        return
    if not served.idempotent:
        told = f"{shown(share.subject)} is not idempotent, and NATS lets a load test ask nothing else"
        draft.report((*path, "subject"), told)
    for number, code in enumerate(share.accepts):
        if code not in ERROR_CODES:
            told = (
                f"{shown(code)} is no code of an error; allowed: {listed(ERROR_CODES)}{did_you_mean(code, ERROR_CODES)}"
            )
            draft.report((*path, "accepts", number), told)
    for number, body in enumerate(share.bodies):
        try:
            json_format.ParseDict(expanded([body])[0], message_class(served.request)())
        except json_format.ParseError as error:
            draft.report((*path, "bodies", number), f"is no {served.request}: {' '.join(str(error).split())}")
