"""The gateway's answers: a request becomes a message and its reply JSON, and each failure has its status. All peers are real."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from proto.generated.gaming.game.v1.quest_pb2 import (
    AcceptQuestReply,
    AcceptQuestRequest,
    GetQuestReply,
    GetQuestRequest,
    ListQuestsReply,
    ListQuestsRequest,
    Quest,
)
from proto.generated.gaming.game.v1.state_pb2 import GetStateReply, GetStateRequest
from proto.generated.gaming.infrastructure.v1.auth_pb2 import Principal, VerifyTokenReply, VerifyTokenRequest
from sdk import (
    AlreadyExistsError,
    CallError,
    ConflictError,
    Context,
    InternalServiceError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    ServiceUnavailableError,
    UnauthenticatedError,
    UnimplementedError,
    Violation,
)
from tests.gateway_world import API_KEYS, VERIFIER_KEY, WAIT_SECONDS, Gateway, World, gateway, key, world

ISSUER = "https://login.example.com"
SIGNER = Ed25519PrivateKey.generate()
pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory, fleet_bucket: Path) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("gateway"), fleet_bucket) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(nats: World) -> AsyncIterator[World]:
    async with nats.serving("quest-system-nats", "auth-nats", "state-manager-nats", "time-manager-nats"):
        yield nats


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process(served: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    log = tmp_path_factory.mktemp("log") / "gateway.log"
    settings = {
        "GATEWAY_OWNER_FIELDS": '{"player": "player_id"}',
        "GATEWAY_JWKS": json.dumps({"keys": [json.loads(OKPAlgorithm.to_jwk(SIGNER.public_key())) | {"kid": "k-1"}]}),
        "GATEWAY_JWT_ISSUER": ISSUER,
        "GATEWAY_JWT_AUDIENCE": "gaming-system",
    }
    async with gateway(served, log, **settings) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def http(process: Gateway, served: World) -> AsyncIterator[httpx.AsyncClient]:
    served.answers.clear()
    async with httpx.AsyncClient(base_url=process.url, timeout=20) as made:
        yield made


async def test_a_request_becomes_a_message_and_its_reply_json(http: httpx.AsyncClient, served: World) -> None:
    asked: list[ListQuestsRequest] = []

    async def answer(request: ListQuestsRequest, _: Context) -> ListQuestsReply:
        asked.append(request)
        return ListQuestsReply(quests=[Quest(quest_id="q-1", title="Grüße")], next_page_token="more")

    served.answers["quest.list"] = answer
    response = await http.get("/v1/quests", params={"pageSize": "5"}, headers=key("operator"))

    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["nextPageToken"] == "more"
    assert response.json()["quests"][0]["title"] == "Grüße"
    assert asked[0].page_size == 5


async def test_caller_request_and_trace_are_told_to_the_service(http: httpx.AsyncClient, served: World) -> None:
    seen: list[dict[str, str]] = []

    async def answer(_: GetQuestRequest, context: Context) -> GetQuestReply:
        seen.append({**context.headers, "trace": context.trace.trace_id})
        return GetQuestReply()

    served.answers["quest.get"] = answer
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = {"X-Request-Id": "r-17", "traceparent": f"00-{trace}-b7ad6b7169203331-01", "Principal-Id": "somebody"}
    response = await http.get("/v1/quests/q-1", headers=key("operator") | sent)

    assert (response.headers["x-request-id"], response.headers["traceparent"].split("-")[1]) == ("r-17", trace)
    assert (seen[0]["X-Request-Id"], seen[0]["trace"]) == ("r-17", trace)
    assert (seen[0]["Principal-Id"], seen[0]["Principal-Roles"]) == ("operator-1", "operator")
    assert "X-Api-Key" not in {name.title() for name in seen[0]}


@pytest.mark.parametrize(
    ("raised", "status", "kind"),
    [
        (InvalidRequestError(violations=[Violation("quest_id", "is odd; give an even one")]), 422, "invalid"),
        (UnauthenticatedError("who are you"), 401, "unauthenticated"),
        (PermissionDeniedError("not yours"), 403, "forbidden"),
        (NotFoundError("no quest has the id q-1"), 404, "not-found"),
        (AlreadyExistsError("it is there"), 409, "already-exists"),
        (ConflictError("revision 3 is no longer the newest"), 409, "conflict"),
        (ResourceExhaustedError("a full queue", retry_after_seconds=90), 429, "too-many-requests"),
        (InternalServiceError("password of the database: secret"), 502, "bad-gateway"),
        (UnimplementedError("later: secret"), 501, "unimplemented"),
        (ServiceUnavailableError("secret", retryable=False), 503, "unavailable"),
    ],
)
async def test_an_error_of_the_service_has_its_status(
    http: httpx.AsyncClient, served: World, raised: CallError, status: int, kind: str
) -> None:
    async def answer(_: GetQuestRequest, __: Context) -> GetQuestReply:
        raise raised

    served.answers["quest.get"] = answer
    response = await http.get("/v1/quests/q-1", headers=key("operator"))

    told = response.json()
    assert response.status_code == status, told
    assert response.headers["content-type"] == "application/problem+json"
    assert (told["type"], told["status"]) == (f"/docs#problem-{kind}", status)
    assert told["requestId"] == response.headers["x-request-id"]
    assert "secret" not in response.text
    if status == 422:
        assert told["errors"] == [{"field": "questId", "description": "is odd; give an even one"}]
    elif status < 500:
        assert told["detail"] == raised.message
    assert response.headers.get("retry-after") == {429: "90", 503: "1"}.get(status)


async def test_an_answer_that_has_no_form_in_json_is_a_502(http: httpx.AsyncClient, served: World) -> None:
    async def answer(_: GetStateRequest, __: Context) -> GetStateReply:
        reply = GetStateReply()
        reply.entry.value["level"] = float("nan")
        return reply

    served.answers["state.get"] = answer
    response = await http.get("/v1/players/player-1/state/level", headers=key("player"))
    assert response.json()["type"] == "/docs#problem-bad-gateway"


async def test_what_takes_too_long_is_a_504_in_the_time_that_the_caller_gives(
    http: httpx.AsyncClient, served: World
) -> None:
    async def answer(_: GetQuestRequest, __: Context) -> GetQuestReply:
        await asyncio.sleep(3600)
        return GetQuestReply()

    served.answers["quest.get"] = answer
    response = await http.get("/v1/quests/q-1", headers=key("operator") | {"Timeout-Ms": "150"})
    assert (response.status_code, response.json()["title"]) == (504, "The service did not answer in time.")


async def test_a_subject_that_nobody_answers_is_a_503_with_retry_after(http: httpx.AsyncClient) -> None:
    response = await http.get("/v1/capabilities", headers=key("operator"))
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


async def test_a_caller_that_goes_away_gives_its_place_back_and_opens_no_circuit(
    http: httpx.AsyncClient, served: World, process: Gateway
) -> None:
    begun = asyncio.Semaphore(0)

    async def never(_: AcceptQuestRequest, __: Context) -> AcceptQuestReply:
        begun.release()
        await asyncio.sleep(3600)
        return AcceptQuestReply()

    served.answers["quest.accept"] = never
    path = "/v1/quests/q-1/accept"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Api-Key: {API_KEYS['player']}\r\n\r\n"
    for _ in range(64):  # as many as one caller may have under way, and more than open a circuit breaker
        _, writer = await asyncio.open_connection("127.0.0.1", process.port)
        writer.write(head.encode())
        await asyncio.wait_for(begun.acquire(), WAIT_SECONDS)
        writer.transport.abort()
    served.answers.clear()
    while (response := await http.post(path, headers=key("player"))).status_code == 429:
        assert "64 requests under way" in response.json()["detail"]
    assert response.status_code == 200


class TestWhoMay:
    async def test_everyone_may_use_what_is_for_anonymous(self, http: httpx.AsyncClient) -> None:
        response = await http.get("/v1/world/time", headers={"Authorization": "Bearer nonsense"})
        assert response.status_code == 200, response.text

    async def test_nobody_else_gets_in_without_showing_who_it_is(self, http: httpx.AsyncClient) -> None:
        response = await http.get("/v1/quests")
        assert (response.status_code, response.headers["www-authenticate"]) == (401, 'Bearer realm="gaming-system"')

    async def test_a_wrong_key_is_a_401_and_stays_out_of_answer_and_log(
        self, http: httpx.AsyncClient, process: Gateway
    ) -> None:
        response = await http.get("/v1/quests", headers={"X-Api-Key": "a-wrong-key-9876"})
        assert response.status_code == 401
        assert "a-wrong-key-9876" not in response.text + process.log()

    async def test_another_role_is_a_403(self, http: httpx.AsyncClient) -> None:
        response = await http.get("/v1/quests", headers=key("admin"))
        assert (response.status_code, response.json()["detail"]) == (403, "this route is for operator and player")

    async def test_a_token_of_auth_nats_is_asked_about_once(self, http: httpx.AsyncClient, served: World) -> None:
        asked: list[str] = []

        async def verify(request: VerifyTokenRequest, _: Context) -> VerifyTokenReply:
            asked.append(request.access_token)
            return VerifyTokenReply(valid=True, principal=Principal(principal_id="p-1", roles=["player"]))

        served.answers["auth.token.verify"] = verify
        headers = {"Authorization": "Bearer opaque-token-1"}
        answers = await asyncio.gather(*(http.get("/v1/quests", headers=headers) for _ in range(5)))
        assert [answer.status_code for answer in answers] == [200] * 5
        assert asked == ["opaque-token-1"]

    @pytest.mark.parametrize(
        ("changes", "status"),
        [({}, 200), ({"iss": "https://elsewhere.example.com"}, 401), ({"exp": 1}, 401), ({"roles": ["guest"]}, 403)],
    )
    async def test_a_jwt_holds_by_its_claims(
        self, http: httpx.AsyncClient, changes: dict[str, object], status: int
    ) -> None:
        claims = {"iss": ISSUER, "aud": "gaming-system", "sub": "p-1", "roles": ["player"], "exp": 2**40}
        token = jwt.encode(claims | changes, SIGNER, algorithm="EdDSA", headers={"kid": "k-1"})
        response = await http.get("/v1/quests", headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == status

    async def test_a_token_that_does_not_hold_is_a_401(self, http: httpx.AsyncClient) -> None:
        response = await http.get("/v1/quests", headers={"Authorization": "Bearer opaque-token-2"})
        assert response.status_code == 401
        assert 'error="invalid_token"' in response.headers["www-authenticate"]

    async def test_the_verifier_reads_whatever_roles_a_route_is_for_and_changes_nothing(
        self, http: httpx.AsyncClient
    ) -> None:
        shown = {"X-Api-Key": VERIFIER_KEY}
        state = "/v1/players/player-1/state"
        read = [await http.get(path, headers=shown) for path in (state, "/v1/quests", "/v1/world/time")]
        changed = [
            await http.put(f"{state}/level", json={"value": {}}, headers=shown),
            await http.delete(f"{state}/level", headers=shown),  # idempotent, and a change all the same
            await http.post("/v1/quests/q-1/accept", headers=shown),
        ]
        assert [answer.status_code for answer in read] == [200] * 3
        assert [answer.status_code for answer in changed] == [403] * 3

    async def test_the_verifier_may_use_what_names_its_role(self, http: httpx.AsyncClient) -> None:
        response = await http.post("/v1/ai/inference/plan", headers={"X-Api-Key": VERIFIER_KEY})
        assert response.status_code == 503  # let in; nobody serves it here

    async def test_a_player_acts_for_itself_alone(self, http: httpx.AsyncClient) -> None:
        own = await http.get("/v1/players/player-1/state", headers=key("player"))
        other = await http.get("/v1/players/player-2/state", headers=key("player"))
        by_operator = await http.get("/v1/players/player-2/state", headers=key("operator"))
        assert (own.status_code, other.status_code, by_operator.status_code) == (200, 403, 200)


class TestRequests:
    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b'{"value": {"a": 1}}', 200),
            (b'{"value": 3}', 422),
            (b'{"valu": {}}', 400),
            (b'{"value": {}', 400),
            (b'{"key": "other", "value": {}}', 400),
            (b"\xff", 400),
            (b"[" * 100_000, 400),
        ],
    )
    async def test_a_body_fits_its_message_or_is_told_why_not(
        self, http: httpx.AsyncClient, body: bytes, status: int
    ) -> None:
        headers = key("player") | {"Content-Type": "application/json"}
        response = await http.put("/v1/players/player-1/state/level", content=body, headers=headers)
        assert response.status_code == status, response.text

    async def test_a_body_is_json(self, http: httpx.AsyncClient) -> None:
        response = await http.put("/v1/players/player-1/state/level", content=b"a=1", headers=key("player"))
        assert (response.status_code, response.json()["detail"]) == (415, "a body is application/json, in UTF-8")

    async def test_a_body_that_is_too_large_is_a_413_that_its_sender_reads(self, http: httpx.AsyncClient) -> None:
        headers = key("player") | {"Content-Type": "application/json"}
        response = await http.put("/v1/players/player-1/state/level", content=b" " * 1_500_000, headers=headers)
        assert response.status_code == 413

    async def test_an_answer_has_a_form_that_is_accepted(self, http: httpx.AsyncClient) -> None:
        response = await http.get("/v1/quests", headers=key("player") | {"Accept": "text/html"})
        assert response.status_code == 406

    async def test_an_unknown_path_and_an_unknown_method_are_told_apart(self, http: httpx.AsyncClient) -> None:
        unknown, wrong = await http.get("/v1/nothing"), await http.delete("/v1/quests")
        assert unknown.status_code == 404
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS")

    async def test_head_is_get_without_its_body(self, http: httpx.AsyncClient) -> None:
        response = await http.head("/v1/quests", headers=key("player"))
        assert (response.status_code, response.content) == (200, b"")
        assert int(response.headers["content-length"]) > 2

    async def test_options_says_what_there_is(self, http: httpx.AsyncClient) -> None:
        response = await http.options("/v1/quests")
        assert (response.status_code, response.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


async def test_documents_are_there_for_everyone(http: httpx.AsyncClient) -> None:
    document, page = await http.get("/openapi.json"), await http.get("/docs")
    assert document.json()["openapi"] == "3.1.0"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "/v1/quests/{quest_id}" in page.text


async def test_curl_is_served(process: Gateway) -> None:
    child = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--show-error", "--fail-with-body", "--header", f"X-Api-Key: {key('player')['X-Api-Key']}",
        "--json", '{"value": {"level": 3}}', "--request", "PUT", "--write-out", "%{http_code}",
        f"{process.url}/v1/players/player-1/state/level",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await child.communicate()
    told: dict[str, Any] = json.loads(output[:-3])
    assert (child.returncode, output[-3:], set(told)) == (0, b"200", set())
