"""What workers are told to do, as it lies in the bucket: everything is in it, so that the same plan asks the same."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

SCHEMA = 1
_LONGEST_CYCLE = 4096

StageKind = Literal["rate", "callers"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the test: so many requests a second, or so many callers that each wait for their answer."""

    kind: StageKind
    begin: float
    """Requests a second, or callers, at its beginning."""
    end: float
    """The same at its end; in between it changes evenly."""
    seconds: float
    measured: bool = True
    """Whether it counts; what only warms up does not."""


@dataclass(frozen=True, slots=True)
class Target:
    """A subject that is asked."""

    service: str
    subject: str
    request: str
    """Full name of the request's message."""
    reply: str
    timeout_seconds: float
    weight: float
    bodies: tuple[Mapping[str, Any], ...]
    """Requests in protobuf's JSON, asked in turns."""
    accepts: tuple[str, ...] = ()
    """Codes of errors that are a good answer here, such as `NOT_FOUND` to a question for what is not there."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole test."""

    run: str
    environment: str
    catalog_digest: str
    seed: int
    workers: int
    stages: tuple[Stage, ...]
    targets: tuple[Target, ...]
    max_in_flight: int
    """Requests of a worker that may wait for an answer at once; what would be one more is not sent, and counts as an error."""
    connections: int = 3
    """Connections of a worker to NATS, which share its requests."""

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def measured_seconds(self) -> float:
        """How much of it counts."""
        return sum(stage.seconds for stage in self.stages if stage.measured)

    @property
    def interval_seconds(self) -> float:
        """Width of an interval of the record over time: a second, or more where that would make many hundred."""
        return float(max(1, math.ceil(self.seconds / 300)))

    def cycle(self) -> list[int]:
        """Return the targets in the order in which they are asked, over and over: each as often as its weight says, shuffled."""
        total = sum(target.weight for target in self.targets)
        length = min(_LONGEST_CYCLE, max(64 * len(self.targets), 256))
        shares = [target.weight / total * length for target in self.targets]
        counts = [max(1, int(share)) for share in shares]
        rest = sorted(range(len(shares)), key=lambda each: (counts[each] - shares[each], each))
        for index in rest[: max(0, length - sum(counts))]:
            counts[index] += 1
        order = [index for index, count in enumerate(counts) for _ in range(count)]
        random.Random(self.seed).shuffle(order)  # noqa: S311  # the same seed asks the same; nobody gains by guessing it
        return order

    def to_plain(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Plan:
        """Read plain data, as `to_plain` writes it.

        Raises:
            ValueError: It is of another version of this program.
        """
        if plain.get("schema") != SCHEMA:
            raise ValueError(f"the plan has schema {plain.get('schema')!r}; this worker reads {SCHEMA}")
        rest = {key: value for key, value in plain.items() if key not in {"schema", "stages", "targets"}}
        stages = tuple(Stage(**stage) for stage in plain["stages"])
        return cls(**rest, stages=stages, targets=tuple(map(_target, plain["targets"])))


def _target(plain: Mapping[str, Any]) -> Target:
    bodies: Sequence[Mapping[str, Any]] = plain["bodies"]
    return Target(**{**plain, "bodies": tuple(bodies), "accepts": tuple(plain["accepts"])})
