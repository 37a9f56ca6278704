"""What the gateway costs: requests a second and their 99th percentile, against the bare ASGI server and against the SDK alone.

The gateway asks a real service by mutual TLS, which answers by nats-py alone in a process of its own. The bare server is uvicorn with
httptools and uvloop, as the gateway's, and a constant answer of the same size. Load comes from wrk where it is installed, else from a
process of ours; 64 connections, each with one request at a time. All run in turns in one series, since the machine may be busy; what a
request costs the process that is measured in CPU depends least on what else runs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import uvloop

from proto.generated.gaming.game.v1.quest_pb2 import GetQuestReply, GetQuestRequest
from sdk import NATSClient
from tests.gateway_world import API_KEYS, GATEWAY, World, gateway, world
from tests.nats_machines import issued
from tests.ports import free_ports

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 64
SUBJECT, PATH = "quest.get", "/v1/quests/q-17"
HEADER = f"X-Api-Key: {API_KEYS['operator']}"

RESPONDER = """
    import asyncio, sys
    from pathlib import Path
    import nats, uvloop
    from proto.generated.gaming.game.v1.quest_pb2 import GetQuestReply, Quest
    from sdk import DirectoryCertificates

    REPLY = GetQuestReply(quest=Quest(quest_id="q-17", title="The well", summary="What is down there?")).SerializeToString()

    async def main():
        tls = DirectoryCertificates(Path(sys.argv[2])).fetch().context()
        client = await nats.connect(sys.argv[1], tls=tls, inbox_prefix="_INBOX.quest-system-nats")
        async def answer(message):
            await client.publish(message.reply, REPLY)
        await client.subscribe("quest.get", queue="q", cb=answer)
        await client.flush()
        print("ready", flush=True)
        await asyncio.sleep(3600)

    uvloop.run(main())
"""
BARE = """
    import sys
    import uvicorn

    BODY = sys.argv[2].encode()
    HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})

    print("ready", flush=True)
    uvicorn.run(app, port=int(sys.argv[1]), http="httptools", loop="uvloop", lifespan="off", log_level="error", access_log=False)
"""
LOAD = """
    import asyncio, json, sys, time
    import uvloop

    HOST, PORT, PATH, HEADER, CONNECTIONS, SECONDS = sys.argv[1:]
    REQUEST = f"GET {PATH} HTTP/1.1\\r\\nHost: {HOST}\\r\\n{HEADER}\\r\\n\\r\\n".encode()

    async def caller(ends, latencies):
        reader, writer = await asyncio.open_connection(HOST, int(PORT))
        while (started := time.perf_counter()) < ends:
            writer.write(REQUEST)
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            size = int(head.lower().split(b"content-length: ")[1].split(b"\\r\\n")[0])
            await reader.readexactly(size)
            latencies.append(time.perf_counter() - started)
        writer.close()

    async def main():
        latencies, started = [], time.perf_counter()
        await asyncio.gather(*(caller(started + float(SECONDS), latencies) for _ in range(int(CONNECTIONS))))
        latencies.sort()
        print(len(latencies) / (time.perf_counter() - started), latencies[int(len(latencies) * 0.99)])

    uvloop.run(main())
"""
Figure = tuple[float, float, float]
"""Requests a second, 99th percentile of their seconds, CPU seconds of one."""
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


async def load(port: int, seconds: float) -> tuple[float, float]:
    """Return requests a second, and the 99th percentile of their seconds."""
    url = f"http://127.0.0.1:{port}{PATH}"
    wrk = shutil.which("wrk")
    if wrk is None:
        script = textwrap.dedent(LOAD)
        output = await _output(
            sys.executable, "-c", script, "127.0.0.1", str(port), PATH, HEADER, str(CONNECTIONS), str(seconds)
        )
        rate, last = output.split()
        return float(rate), float(last)
    told = await _output(wrk, "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--latency", "-H", HEADER, url)
    rates = re.findall(r"Requests/sec:\s+([\d.]+)", told)
    lasts = re.findall(r"99%\s+([\d.]+)(us|ms|s)", told)
    if not rates or not lasts or "Non-2xx" in told:
        raise SystemExit(f"wrk says:\n{told}")
    return float(rates[0]), float(lasts[0][0]) * _UNITS[lasts[0][1]]


async def sdk_alone(client: NATSClient, seconds: float) -> tuple[float, float]:
    """Return the same of the SDK, in this process."""
    latencies: list[float] = []
    started = time.perf_counter()

    async def caller() -> None:
        while (begun := time.perf_counter()) < started + seconds:
            await client.request(SUBJECT, GetQuestRequest(quest_id="q-17"), GetQuestReply, timeout_seconds=5)
            latencies.append(time.perf_counter() - begun)

    await asyncio.gather(*(caller() for _ in range(CONNECTIONS)))
    latencies.sort()
    return len(latencies) / (time.perf_counter() - started), latencies[int(len(latencies) * 0.99)]


async def measure(nats: World, folder: Path, rounds: int, seconds: float) -> list[str]:
    """Measure all in turns; return what there is to tell."""
    limits = {"GATEWAY_MAX_CONCURRENT_A_CALLER": "1024"}
    figures: dict[str, list[Figure]] = {"bare server": [], "sdk alone": [], "gateway": []}
    port = free_ports(1)[0]
    responder = [RESPONDER, nats.node.url, str(nats.folder("quest-system-nats"))]
    async with (
        _running(*responder),
        gateway(nats, folder / "log", **limits) as made,
        NATSClient(nats.settings(GATEWAY)) as client,
    ):
        answer = await _output("curl", "--silent", "--header", HEADER, f"{made.url}{PATH}")
        async with _running(BARE, str(port), answer) as bare:
            for number in range(rounds + 1):  # the first one warms up
                told = [
                    await _with_cpu(bare, load(port, seconds)),
                    await _with_cpu(os.getpid(), sdk_alone(client, seconds)),
                    await _with_cpu(made.process.pid, load(made.port, seconds)),
                ]
                if number:
                    for each, figure in zip(figures.values(), told, strict=True):
                        each.append(figure)
                print(f"round {number} of {rounds}", file=sys.stderr)  # noqa: T201
        resident = psutil.Process(made.process.pid).memory_info().rss
    lines = []
    for name, each in figures.items():
        rate, last, cpu = (statistics.median(values) for values in zip(*each, strict=True))
        ratio = statistics.median(
            ours / theirs for (ours, *_), (theirs, *_) in zip(figures["gateway"], each, strict=True)
        )
        told_of = f"{rate:8.0f} /s   p99 {last * 1000:7.2f} ms   CPU a request {cpu * 1e6:5.0f} µs"
        lines.append(f"{name:12} {told_of}   gateway's rate over it {ratio:.2f}")
    return [*lines, f"memory of the gateway after it {resident / 2**20:.1f} MiB"]


async def _with_cpu(pid: int, measured: Awaitable[tuple[float, float]]) -> Figure:
    """Add the CPU seconds that a request costs a process."""
    process, started = psutil.Process(pid), time.perf_counter()
    before = process.cpu_times()
    rate, last = await measured
    after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return rate, last, spent / (rate * (time.perf_counter() - started))


async def _output(*command: str) -> str:
    child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    told = (await child.communicate())[0].decode()
    if child.returncode:
        raise SystemExit(f"{command[0]} ended with {child.returncode}: {told}")
    return told


@asynccontextmanager
async def _running(script: str, *arguments: str) -> AsyncIterator[int]:
    """Have a script run that has said that it is ready; gives its process's number."""
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert child.stdout is not None  # noqa: S101  # it is a pipe
        await child.stdout.readline()
        await asyncio.sleep(0.5)
        yield child.pid
    finally:
        child.kill()
        await child.wait()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="runs of each")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a run")
    given, _ = parser.parse_known_args()
    if subprocess.run(["curl", "--version"], stdout=subprocess.DEVNULL, check=False).returncode:  # noqa: S607
        raise SystemExit("curl is not installed")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("certificates", "world"):
            (folder / name).mkdir()
        with world(folder / "world", issued(folder / "certificates")) as nats:
            print("\n".join(uvloop.run(measure(nats, folder, given.rounds, given.seconds))))  # noqa: T201


if __name__ == "__main__":
    main()
