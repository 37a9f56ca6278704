"""A service as a process, from its start to SIGTERM, as a container runs it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.generated.gaming.game.v1.quest_pb2 import GetQuestReply, GetQuestRequest
from sdk import NATSClient
from sdk.health_check_http import probe
from tests.integration.sdk_pair import until
from tests.nats_world import GET, World, world

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
    import asyncio
    from proto.generated.gaming.game.v1.quest_pb2 import *
    from sdk import Context, Service

    service = Service()

    @service.handle("quest.get")
    async def get(request: GetQuestRequest, context: Context) -> GetQuestReply:
        print("ASKED", flush=True)
        await asyncio.sleep(0.5)
        return GetQuestReply(quest=Quest(quest_id=request.quest_id))

    @service.handle("quest.accept")
    async def accept(request: AcceptQuestRequest, context: Context) -> AcceptQuestReply:
        return AcceptQuestReply()

    service.run()
"""


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, started=False) as made:
        yield made


async def test_it_starts_before_nats_serves_and_ends_what_it_has_begun(nats: World, tmp_path: Path) -> None:
    output = tmp_path / "output"
    variables = nats.variables("quest-nats") | {"HEALTH_PORT": str(free_port()), "PATH": os.environ["PATH"]}
    program = textwrap.dedent(PROGRAM)
    # The worker of `quest-worker` and the event belong to the contract, not to this program.
    contract = json.loads(variables["SERVICE_CONTRACT"])
    variables["SERVICE_CONTRACT"] = json.dumps({"serves": contract["serves"]})
    with output.open("wb") as file:
        process = subprocess.Popen(  # noqa: ASYNC220  # its start is a moment
            [sys.executable, "-c", program], cwd=ROOT, env=variables, stdout=file, stderr=file
        )
    health = f"http://127.0.0.1:{variables['HEALTH_PORT']}"
    try:
        await until(lambda: "NATS has not been reached yet" in probe(f"{health}/health")[1], "it served health alone")
        assert probe(f"{health}/livez")[0]
        nats.node.start()
        await until(lambda: probe(f"{health}/readyz")[0], "it was ready")
        assert probe(f"{health}/health")[0]
        await until(lambda: '"text":"serving"' in output.read_text(), "it served")
        async with NATSClient(nats.settings("caller-nats")) as client:
            asked = asyncio.create_task(client.request(GET, GetQuestRequest(quest_id="q-1"), GetQuestReply))
            await until(lambda: "ASKED" in output.read_text(), "it was asked")
            process.send_signal(signal.SIGTERM)
            await until(lambda: "the service is stopping" in probe(f"{health}/readyz")[1], "it was unready first")
            assert (await asked).quest.quest_id == "q-1"
        assert await asyncio.to_thread(process.wait, 20) == 0
    finally:
        process.kill()
        process.wait()
    lines = [json.loads(line) for line in output.read_text().splitlines() if line.startswith("{")]
    told = [line for line in lines if "_aws" not in line]
    assert all({"text", "level", "service_name"} <= set(line) for line in told)
    assert [line["lost_nothing"] for line in told if line["text"] == "stopped"] == [True]
    # One as soon as it runs, so that its metrics exist, and one at its end.
    assert [line["Requests"] for line in lines if "_aws" in line] == [0, 1]


async def test_the_examples_of_the_readme_run(nats: World, tmp_path: Path) -> None:
    service, client = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "sdk/README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    nats.node.start()
    await nats.provision()
    variables = nats.variables("quest-nats") | {"HEALTH_PORT": str(free_port())}
    endpoint = json.loads(variables["SERVICE_CONTRACT"])["serves"][GET]
    variables["SERVICE_CONTRACT"] = json.dumps({"serves": {GET: endpoint}})
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(  # noqa: ASYNC220  # its start is a moment
            [sys.executable, "-c", service], cwd=ROOT, env=variables, stdout=file, stderr=file
        )
    try:
        await until(lambda: '"text":"serving"' in output.read_text(), "it served")
        asked = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", client],
            cwd=ROOT,
            env=nats.variables("caller-nats"),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        process.terminate()
        process.wait(20)
    lines = asked.stdout.splitlines()
    assert asked.returncode == 0, asked.stderr
    assert lines[0] == "The well"
    assert lines[1].startswith("no quest has the id q-0 quest-nats ")
    assert lines[2] == "1 b'done' ['q-17']"
    assert process.returncode == 0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return int(each.getsockname()[1])
