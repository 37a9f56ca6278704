"""What the SDK costs: a request against nats-py's own, a call of the breaker against other breakers, the memory of an idle service.

Requests go over mutual TLS to a real server and back from a responder in a process of its own, which is nats-py alone for both, so
that only the caller differs. Both run in turns in one series, since the machine may be busy.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiobreaker
import circuitbreaker
import nats
import purgatory

from proto.generated.gaming.game.v1.quest_pb2 import GetQuestReply, GetQuestRequest
from sdk import AsyncCircuitBreaker, DirectoryCertificates, NATSClient
from tests.nats_world import GET, World, world

ROOT = Path(__file__).resolve().parent.parent
REQUESTS = 1500
IN_FLIGHT = 64
CALLS = 30_000

RESPONDER = """
    import asyncio, sys
    from pathlib import Path
    import nats
    from proto.generated.gaming.game.v1.quest_pb2 import GetQuestReply, Quest
    from sdk import DirectoryCertificates

    REPLY = GetQuestReply(quest=Quest(quest_id="q-17", title="The well", summary="What is down there?")).SerializeToString()

    async def main():
        tls = DirectoryCertificates(Path(sys.argv[2])).fetch().context()
        client = await nats.connect(sys.argv[1], tls=tls, inbox_prefix="_INBOX.quest-nats")
        async def answer(message):
            await client.publish(message.reply, REPLY)
        await client.subscribe("quest.get", queue="q", cb=answer)
        await client.flush()
        print("ready", flush=True)
        await asyncio.sleep(3600)

    asyncio.run(main())
"""
IDLE = """
    from proto.generated.gaming.game.v1.quest_pb2 import *
    from sdk import Context, Service
    service = Service()
    @service.handle("quest.get")
    async def get(request: GetQuestRequest, context: Context) -> GetQuestReply:
        return GetQuestReply()
    @service.handle("quest.accept")
    async def accept(request: AcceptQuestRequest, context: Context) -> AcceptQuestReply:
        return AcceptQuestReply()
    service.run()
"""

Ask = Callable[[], Awaitable[object]]


async def one_by_one(ask: Ask, number: int) -> float:
    """Return the median of the seconds that a request takes."""
    seconds = []
    for _ in range(number):
        started = time.perf_counter()
        await ask()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


async def many_at_once(ask: Ask, number: int) -> tuple[float, float]:
    """Return requests a second with so many in flight, and the seconds of CPU that each costs the caller."""
    left = iter(range(number))

    async def caller() -> None:
        for _ in left:
            await ask()

    started, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return number / (time.perf_counter() - started), (time.process_time() - used) / number


async def requests(nats_world: World, rounds: int) -> list[str]:
    """Compare requests."""
    source = DirectoryCertificates(nats_world.certificates("caller-nats"))
    bare = await nats.connect(
        nats_world.node.url, tls=source.fetch().context(), inbox_prefix="_INBOX.caller-nats", allow_reconnect=False
    )
    message = GetQuestRequest(quest_id="q-17", player_id="p-1")

    async def ask_bare() -> object:
        answer = await bare.request(GET, message.SerializeToString(), timeout=5)
        return GetQuestReply.FromString(answer.data)

    latencies: dict[str, list[float]] = {"nats-py": [], "sdk": []}
    rates: dict[str, list[float]] = {"nats-py": [], "sdk": []}
    costs: dict[str, list[float]] = {"nats-py": [], "sdk": []}
    async with NATSClient(nats_world.settings("caller-nats")) as client:

        async def ask_sdk() -> object:
            return await client.request(GET, message, GetQuestReply, timeout_seconds=5)

        callers: dict[str, Ask] = {"nats-py": ask_bare, "sdk": ask_sdk}
        for ask in callers.values():
            await many_at_once(ask, 500)
        for number in range(rounds):
            for name, ask in callers.items():
                latencies[name].append(await one_by_one(ask, REQUESTS))
                rate, cost = await many_at_once(ask, REQUESTS)
                rates[name].append(rate)
                costs[name].append(cost)
            print(f"round {number + 1} of {rounds}", file=sys.stderr)  # noqa: T201
    await bare.close()
    lines = []
    for title, figures, unit, factor in (
        ("one request, p50", latencies, "us", 1e6),
        (f"requests a second, {IN_FLIGHT} in flight", rates, "/s", 1.0),
        ("CPU of the caller a request, at that", costs, "us", 1e6),
    ):
        ratio = statistics.median(
            ours / theirs for ours, theirs in zip(figures["sdk"], figures["nats-py"], strict=True)
        )
        ours, theirs = (statistics.median(figures[name]) * factor for name in ("sdk", "nats-py"))
        lines.append(f"{title:38} nats-py {theirs:8.0f} {unit}   sdk {ours:8.0f} {unit}   ratio {ratio:.2f}")
    return lines


async def breakers(rounds: int) -> list[str]:
    """Compare breakers, by a call that succeeds at once."""

    async def work() -> int:
        return 1

    ours = AsyncCircuitBreaker("work")
    theirs = circuitbreaker.CircuitBreaker(failure_threshold=5)
    with_circuitbreaker = theirs.decorate(work)
    with_aiobreaker = aiobreaker.CircuitBreaker(fail_max=5, timeout_duration=dt.timedelta(seconds=60))(work)
    factory = purgatory.AsyncCircuitBreakerFactory(default_threshold=5, default_ttl=60)
    with_purgatory = factory("work")(work)
    guarded = ours(work)
    candidates: dict[str, Callable[[], Awaitable[int]]] = {
        "no breaker": work,
        "sdk, call": lambda: ours.call(work),
        "sdk, decorator": guarded,
        "circuitbreaker": with_circuitbreaker,
        "aiobreaker": with_aiobreaker,
        "purgatory": with_purgatory,
    }
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            started = time.perf_counter()
            for _ in range(CALLS):
                await call()
            seconds[name].append((time.perf_counter() - started) / CALLS)
    nothing = statistics.median(seconds["no breaker"])
    return [
        f"{name:38} {statistics.median(each) * 1e9:8.0f} ns a call, {(statistics.median(each) - nothing) * 1e9:8.0f} ns more than none"
        for name, each in seconds.items()
    ]


def idle_memory(nats_world: World) -> str:
    """Return what an idle service holds, a while after it began to serve."""
    variables = nats_world.variables("quest-nats") | {"PATH": os.environ["PATH"]}
    with tempfile.TemporaryFile("w+") as output:
        program = textwrap.dedent(IDLE)
        process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, env=variables, stdout=output, stderr=output
        )
        try:
            deadline = time.monotonic() + 30
            while '"text":"serving"' not in (output.seek(0), output.read())[1]:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the idle service never served:\n{(output.seek(0), output.read())[1]}")
                time.sleep(0.05)
            time.sleep(3)
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        finally:
            process.terminate()
            process.wait(30)
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return f"{'memory of an idle service':38} {resident / 1024:8.1f} MiB"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="runs of each")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as nats_world:
        lines = [idle_memory(nats_world), *asyncio.run(breakers(rounds))]
        arguments = [nats_world.node.url, str(nats_world.certificates("quest-nats"))]
        responder = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(RESPONDER), *arguments], cwd=ROOT, stdout=subprocess.PIPE
        )
        try:
            assert responder.stdout is not None  # noqa: S101  # it is a pipe
            responder.stdout.readline()
            lines += asyncio.run(requests(nats_world, rounds))
        finally:
            responder.kill()
            responder.wait(30)
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
