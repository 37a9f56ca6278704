"""How the gateway stands a spike, an outage of NATS and its own end: each request is answered, and none by a crash."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from proto.generated.gaming.core_ai.v1.text_pb2 import GenerateTextReply, GenerateTextRequest
from proto.generated.gaming.game.v1.npc_pb2 import SpeakReply, SpeakRequest
from proto.generated.gaming.game.v1.quest_pb2 import GetQuestReply, GetQuestRequest
from sdk import Context
from tests.gateway_world import API_KEYS, ROOT, WAIT_SECONDS, Gateway, World, gateway, key, until, world

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory, fleet_bucket: Path) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("gateway"), fleet_bucket) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def served(nats: World) -> AsyncIterator[World]:
    nats.answers.clear()
    async with nats.serving("quest-system-nats"):
        yield nats


async def health(made: Gateway, path: str) -> int:
    async with httpx.AsyncClient() as http:
        return (await http.get(made.health_url + path)).status_code


async def test_a_spike_is_answered_by_429_and_503_and_the_rest_goes_on(served: World, tmp_path: Path) -> None:
    release = asyncio.Event()

    # Two routes whose services may take their time: nothing here is to end before it is let go.
    async def generate(_: GenerateTextRequest, __: Context) -> GenerateTextReply:
        await release.wait()
        return GenerateTextReply()

    async def speak(_: SpeakRequest, __: Context) -> SpeakReply:
        await release.wait()
        return SpeakReply()

    await served.serve("ai-integration-nats", "npc-behavior-nats")
    served.answers |= {"ai.text.generate": generate, "npc.dialogue.speak": speak}
    limits = {"GATEWAY_MAX_CONCURRENT": "100", "GATEWAY_MAX_CONCURRENT_A_CALLER": "80"}
    async with gateway(served, tmp_path / "log", **limits) as made:
        seen: Counter[int] = Counter()

        async def ask(role: str, path: str) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Api-Key: {API_KEYS[role]}\r\n\r\n"
            writer.write(head.encode())
            seen[int((await reader.read())[9:12])] += 1
            writer.transport.abort()

        places = (("operator", "/v1/ai/text"), ("player", "/v1/npcs/n-1/dialogue"))
        asking = [asyncio.create_task(ask(*place)) for place in places for _ in range(250)]
        await until(lambda: seen[429] + seen[503] == 400, "all that is too much was refused")
        release.set()
        await asyncio.gather(*asking)
        assert (seen[200], set(seen)) == (100, {200, 429, 503})
        async with httpx.AsyncClient(base_url=made.url) as http:
            assert (await http.get("/v1/quests", headers=key("operator"))).status_code == 200


async def test_a_caller_that_comes_too_often_is_told_when_to_come_back(served: World, tmp_path: Path) -> None:
    limits = {"GATEWAY_RATE_A_CALLER": "0.01", "GATEWAY_BURST_A_CALLER": "3", "GATEWAY_TRUSTED_PROXIES": "1"}
    async with gateway(served, tmp_path / "log", **limits) as made, httpx.AsyncClient(base_url=made.url) as http:
        answers = [await http.get("/v1/quests", headers=key("operator")) for _ in range(4)]
        other = await http.get("/v1/quests", headers=key("player"))
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert 90 < int(answers[3].headers["retry-after"]) <= 100
        assert other.status_code == 200
        # Whoever guesses is bounded by the address that the load balancer saw, whatever it says itself.
        guesses = [
            await http.get("/v1/quests", headers={"X-Api-Key": "guess", "X-Forwarded-For": f"1.2.3.{number}, 9.9.9.9"})
            for number in range(4)
        ]
        assert [answer.status_code for answer in guesses] == [401, 401, 401, 429]
        seen = {"X-Forwarded-For": "8.8.8.8"}
        documents = [await http.get("/openapi.json", headers=seen) for _ in range(4)]
        assert [answer.status_code for answer in documents] == [200, 200, 200, 429]


async def test_while_nats_is_away_every_request_is_a_503_at_once_and_then_all_is_well(
    served: World, tmp_path: Path
) -> None:
    async with gateway(served, tmp_path / "log") as made, httpx.AsyncClient(base_url=made.url) as http:
        served.node.kill()
        while (response := await http.get("/v1/quests", headers=key("operator"))).status_code == 200:
            pass
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        assert (await health(made, "/readyz"), await health(made, "/health")) == (503, 200)
        served.node.start()
        async with asyncio.timeout(WAIT_SECONDS):
            while (await http.get("/v1/quests", headers=key("operator"))).status_code != 200:
                pass


async def test_told_to_stop_it_serves_on_finishes_and_leaves(served: World, tmp_path: Path) -> None:
    begun, release = asyncio.Event(), asyncio.Event()

    async def slow(_: GetQuestRequest, __: Context) -> GetQuestReply:
        begun.set()
        await release.wait()
        return GetQuestReply()

    async with gateway(served, tmp_path / "log", GATEWAY_LEAVE_SECONDS="1") as made:
        async with httpx.AsyncClient(base_url=made.url, timeout=WAIT_SECONDS) as http:
            served.answers["quest.get"] = slow
            pending = asyncio.create_task(http.get("/v1/quests/q-1", headers=key("operator")))
            await begun.wait()
            made.terminate()
            while await health(made, "/readyz") == 200:
                pass
            during = await http.get("/v1/quests", headers=key("operator"))
            assert (during.status_code, during.headers["connection"]) == (200, "close")
            await until(lambda: _refuses(made.port), "it took nothing new")
            release.set()
            assert (await pending).status_code == 200
        assert await asyncio.wait_for(made.process.wait(), WAIT_SECONDS) == 0
        assert made.logged()[-1]["lost_nothing"] is True


async def test_a_deployment_loses_no_request(served: World, tmp_path: Path) -> None:
    """Callers go on while a new gateway comes and the old one leaves, as behind a load balancer."""
    seen: Counter[object] = Counter()
    async with (
        gateway(served, tmp_path / "old", GATEWAY_LEAVE_SECONDS="0.5") as old,
        gateway(served, tmp_path / "new") as new,
    ):
        places = [old.url]
        is_over = False

        async def call() -> None:
            async with httpx.AsyncClient(headers=key("operator")) as http:
                while not is_over:
                    try:
                        seen[(await http.get(f"{places[-1]}/v1/quests")).status_code] += 1
                    except httpx.HTTPError as error:
                        seen[type(error)] += 1

        calling = [asyncio.create_task(call()) for _ in range(4)]
        await until(lambda: seen[200] > 50, "callers were served")
        old.terminate()
        await until(lambda: '"leaving"' in old.log(), "the old one began to leave")
        places.append(new.url)  # the load balancer knows
        await asyncio.wait_for(old.process.wait(), WAIT_SECONDS)
        before = seen[200]
        await until(lambda: seen[200] > before + 50, "callers were served by the new one")
        is_over = True
        await asyncio.gather(*calling)
    assert set(seen) == {200}


async def test_what_it_must_be_told_is_told_all_at_once_without_a_traceback(nats: World) -> None:
    variables = nats.variables(
        GATEWAY_CORS_ORIGINS="ftp://x", GATEWAY_MAX_BODY_BYTES="many", GATEWAY_API_KEYS='["secret"]'
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", cwd=ROOT, env=variables, stderr=asyncio.subprocess.PIPE
    )
    told = (await child.communicate())[1].decode()
    assert child.returncode == 2
    assert told.splitlines()[0] == "error: the gateway's environment is not as it must be:"
    for name in ("GATEWAY_CORS_ORIGINS", "GATEWAY_MAX_BODY_BYTES", "GATEWAY_API_KEYS"):
        assert f"  {name}: " in told
    assert "secret" not in told


async def test_a_port_that_is_taken_is_told_without_a_traceback(nats: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway",
            cwd=ROOT, env=nats.variables(GATEWAY_PORT=str(port)), stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        told = (await child.communicate())[1].decode()
    assert child.returncode == 2
    assert told.startswith(f"error: got {port} for GATEWAY_PORT and '127.0.0.1' for GATEWAY_HOST")
    assert "Traceback" not in told


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False
