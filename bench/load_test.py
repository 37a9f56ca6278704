"""What a worker of a load test can do itself: the rate up to which it is on time, and what of a latency is its own.

Mutual TLS to a real server, and from there to a responder that does nothing but answer, so three processes share the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from bench.sdk import RESPONDER
from fleet.load_test.verdict import MOST_LAG_MILLISECONDS, whole
from load_test.measurements import Measurements
from load_test.plan import Plan, Stage, Target
from tests.nats_world import GET, World, world

ROOT = Path(__file__).resolve().parent.parent
RATES = (200, 1000, 2000, 4000, 6000, 8000, 10_000, 12_000)
SECONDS = 5.0


def plan_of(stage: Stage) -> Plan:
    """Return a plan that asks for quests."""
    message = "gaming.game.v1.{}Quest{}"
    target = Target(
        "quest-nats",
        GET,
        message.format("Get", "Request"),
        message.format("Get", "Reply"),
        5.0,
        1.0,
        ({"quest_id": "q-17"},),
    )
    warm_up = Stage(stage.kind, stage.begin, stage.end, 1.0, measured=False)
    return Plan(
        run="bench",
        environment="test",
        catalog_digest="",
        seed=1,
        workers=1,
        stages=(warm_up, stage),
        targets=(target,),
        max_in_flight=1000,
    )


def measured(nats_world: World, plan: Plan, folder: Path) -> Measurements:
    """Run a plan in a worker of its own."""
    file = folder / "plan.json"
    file.write_text(json.dumps(plan.to_plain()))
    variables = {
        **os.environ,
        "NATS_SERVERS": nats_world.node.url,
        "CERTIFICATES_DIRECTORY": str(nats_world.certificates("loadtest")),
    }
    command = [sys.executable, "-m", "load_test", "--plan", str(file)]
    ran = subprocess.run(command, env=variables, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return Measurements.from_plain(json.loads(ran.stdout))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    seconds: float = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name, world(Path(name)) as nats_world:
        folder = Path(name)
        responder = subprocess.Popen(
            [
                sys.executable,
                "-c",
                textwrap.dedent(RESPONDER),
                nats_world.node.url,
                str(nats_world.certificates("quest-nats")),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        try:
            assert responder.stdout is not None  # noqa: S101  # a pipe was asked for
            responder.stdout.readline()
            for rate in RATES:
                if not _told(
                    f"{rate}/s", measured(nats_world, plan_of(Stage("rate", rate, rate, seconds)), folder), seconds
                ):
                    break
            _told("64 callers", measured(nats_world, plan_of(Stage("callers", 64, 64, seconds)), folder), seconds)
        finally:
            responder.kill()
            responder.wait()


def _told(load: str, found: Measurements, seconds: float) -> bool:
    """Print what was found; tell whether the worker was on time."""
    together = whole(found)
    late = found.lag.percentile(99) / 1000
    print(  # noqa: T201
        f"{load:>11}: {together.answered / seconds:8.0f} answers/s, failed {together.failed}, p50 {together.latency.percentile(50) / 1000:.2f} ms, "
        f"p99 {together.latency.percentile(99) / 1000:.2f} ms, late p50 {found.lag.percentile(50) / 1000:.3f} ms, p99 {late:.2f} ms, "
        f"processor {found.busiest:.0%}"
    )
    return late <= MOST_LAG_MILLISECONDS


if __name__ == "__main__":
    main()
