"""Calls over a real NATS server, with mutual TLS and the permissions that the catalog gives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from nats import connect

from proto.generated.gaming.game.v1.quest_pb2 import GetQuestReply, GetQuestRequest, Quest
from sdk import (
    AlreadyExistsError,
    BulkheadFullError,
    CallError,
    CircuitOpenError,
    CircuitState,
    ConflictError,
    Context,
    Delivery,
    DirectoryCertificates,
    InternalServiceError,
    InvalidRequestError,
    NATSClient,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ResourceExhaustedError,
    RetryExhaustedError,
    RetryPolicy,
    Service,
    ServiceTimeoutError,
    ServiceUnavailableError,
    StoredMessage,
    Trace,
    Violation,
    current_trace,
    deadline_in,
    remaining_seconds,
)
from sdk.trace import set_trace
from tests.integration.sdk_pair import Pair, pair, until
from tests.nats_world import ACCEPT, EVENT, GET, NOBODY, STORED, World, world

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("calls")) as made:
        asyncio.run(made.provision())
        yield made


@pytest.fixture
async def calls(nats: World) -> AsyncIterator[Pair]:
    async with pair(nats) as made:
        yield made


def raising(error: Exception) -> Callable[[str], Awaitable[None]]:
    async def answer(_: str) -> None:
        raise error

    return answer


async def test_a_request_is_answered_by_its_type(calls: Pair) -> None:
    reply = await calls.get("q-17")
    assert reply.quest.quest_id == "q-17"


async def test_a_subject_that_nobody_answers_is_unavailable_at_once(calls: Pair) -> None:
    with pytest.raises(RetryExhaustedError) as failed:
        await calls.client.request(NOBODY, GetQuestRequest(), GetQuestReply, timeout_seconds=30)
    assert [type(error) for error in failed.value.errors] == [ServiceUnavailableError] * 3
    assert failed.value.elapsed_seconds < 5


async def test_what_is_too_slow_times_out_and_is_not_repeated_where_that_is_not_safe(calls: Pair) -> None:
    calls.answer = lambda _: asyncio.sleep(3600)
    with pytest.raises(ServiceTimeoutError) as failed:
        await calls.accept("slow", timeout_seconds=0.2)
    assert failed.value.attempt == 1
    assert calls.asked == ["slow"]


async def test_the_service_gives_up_when_the_caller_no_longer_waits(calls: Pair) -> None:
    cancelled = asyncio.Event()

    async def slow(_: str) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    calls.answer = slow
    with pytest.raises(ServiceTimeoutError):
        await calls.get(timeout_seconds=0.1)
    async with asyncio.timeout(5):
        await cancelled.wait()


async def test_an_outer_deadline_holds_for_all_calls_of_a_block(calls: Pair) -> None:
    calls.answer = lambda _: asyncio.sleep(3600)
    with pytest.raises(ServiceTimeoutError) as failed, deadline_in(0.1):
        await calls.get(timeout_seconds=60)
    assert failed.value.elapsed_seconds < 30


@pytest.mark.parametrize(
    "raised",
    [
        NotFoundError("no quest has the id q-1"),
        ConflictError("revision 3 is no longer the newest"),
        PermissionDeniedError("not yours"),
        InvalidRequestError(violations=[Violation("quest_id", "is empty; give one")]),
        ResourceExhaustedError("the queue is full", retry_after_seconds=60),
        InternalServiceError("the rules engine is confused"),
    ],
)
async def test_what_a_handler_raises_reaches_the_caller_as_the_same_type(calls: Pair, raised: CallError) -> None:
    calls.answer = raising(raised)
    with pytest.raises(type(raised)) as failed:
        await calls.accept()
    caught = failed.value
    assert (caught.message, caught.retryable, caught.retry_after_seconds) == (
        raised.message,
        raised.retryable,
        raised.retry_after_seconds,
    )
    assert (caught.service, caught.endpoint, len(caught.trace_id)) == ("quest-nats", ACCEPT, 32)
    assert getattr(caught, "violations", ()) == getattr(raised, "violations", ())


async def test_what_a_handler_did_not_foresee_is_an_internal_error_without_details(calls: Pair) -> None:
    calls.answer = raising(KeyError("password=hunter2"))
    with pytest.raises(InternalServiceError) as failed:
        await calls.accept()
    assert "hunter2" not in str(failed.value)


async def test_a_request_that_is_none_is_invalid(calls: Pair) -> None:
    with pytest.raises(InvalidRequestError, match=r"this is no gaming\.game\.v1\.GetQuestRequest"):
        await calls.client.request_raw(GET, b"\xff\xff\xff")


async def test_a_forbidden_subject_is_told_as_such_in_one_round_trip(calls: Pair) -> None:
    with pytest.raises(PermissionDeniedError, match="not in the catalog entry's `calls`") as failed:
        await calls.client.request("secret.Thing", GetQuestRequest(), GetQuestReply, timeout_seconds=60)
    assert failed.value.elapsed_seconds < 30
    assert calls.client.breakers.get("", "secret.Thing").state is CircuitState.CLOSED


@pytest.mark.parametrize(
    ("subject", "queue"), [("secret.thing", None), (GET, None), (GET, "q"), ("_INBOX.quest-nats.>", None)]
)
async def test_a_forbidden_subscription_is_told_as_such(calls: Pair, subject: str, queue: str | None) -> None:
    async def handler(_: Delivery) -> None:
        raise AssertionError("nothing may arrive")

    with pytest.raises(PermissionDeniedError, match="does not let this service subscribe"):
        await calls.client.subscribe(subject, handler, queue=queue)


async def test_a_served_subject_is_refused_outside_its_queue_group(nats: World) -> None:
    async def handler(_: Delivery) -> None:
        raise AssertionError("nothing may arrive")

    async with NATSClient(nats.settings("quest-nats")) as client:
        with pytest.raises(PermissionDeniedError):
            await client.subscribe(GET, handler)
        await client.subscribe(GET, handler, queue="q")


async def test_a_message_that_is_too_large_is_refused_before_it_is_sent(calls: Pair) -> None:
    with pytest.raises(PayloadTooLargeError):
        await calls.get("x" * 2**21)


async def test_failures_open_the_breaker_and_nobody_is_asked_then(calls: Pair) -> None:
    calls.answer = raising(InternalServiceError("broken"))
    for _ in range(5):
        with pytest.raises(InternalServiceError):
            await calls.accept()
    with pytest.raises(CircuitOpenError) as failed:
        await calls.accept()
    assert len(calls.asked) == 5
    assert 0 < (failed.value.retry_after_seconds or 0) <= 60
    calls.answer = None
    await calls.get()  # another endpoint of the same service is asked


async def test_an_answer_that_is_no_failure_of_the_service_opens_nothing(calls: Pair) -> None:
    calls.answer = raising(NotFoundError("no such quest"))
    for _ in range(20):
        with pytest.raises(NotFoundError):
            await calls.accept()
    assert len(calls.asked) == 20


async def test_a_service_that_recovers_is_found_by_the_retry(calls: Pair) -> None:
    async def answer(_: str) -> None:
        if len(calls.asked) < 3:
            raise ServiceUnavailableError("warming up")

    calls.answer = answer
    await calls.get()
    assert len(calls.asked) == 3


async def test_cancelled_callers_leave_nothing_behind(calls: Pair) -> None:
    opened = asyncio.Event()

    async def answer(_: str) -> None:
        await opened.wait()

    calls.answer = answer
    callers = [asyncio.create_task(calls.accept(timeout_seconds=30)) for _ in range(50)]
    await until(lambda: len(calls.asked) == 50, "all were asked")
    for caller in callers:
        caller.cancel()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert calls.client.connection().waiting_requests == 0
    assert calls.client.breakers.get("", ACCEPT).snapshot().consecutive_failures == 0
    calls.answer = None
    await calls.accept()
    opened.set()


async def test_ten_thousand_concurrent_requests_are_each_answered_once(nats: World) -> None:
    async with pair(nats, options={"max_waiting": 20_000}) as calls:
        replies = await asyncio.gather(*(calls.get(f"q-{number}", timeout_seconds=60) for number in range(10_000)))
        assert [reply.quest.quest_id for reply in replies] == [f"q-{number}" for number in range(10_000)]
        assert len(calls.asked) == 10_000


async def test_more_than_a_service_takes_is_refused_at_once_and_the_rest_is_answered(nats: World) -> None:
    async with pair(
        nats,
        options={"max_concurrent": 2, "max_waiting": 3},
        client_options={"policy": RetryPolicy(max_attempts=1)},
    ) as calls:
        opened = asyncio.Event()

        async def answer(_: str) -> None:
            await opened.wait()

        calls.answer = answer
        callers = [asyncio.create_task(calls.accept(f"q-{number}", timeout_seconds=20)) for number in range(20)]
        await until(lambda: sum(caller.done() for caller in callers) == 15, "those beyond were refused")
        opened.set()
        results = await asyncio.gather(*callers, return_exceptions=True)
        refused = [result for result in results if isinstance(result, ResourceExhaustedError)]
        assert len(refused) == 15
        assert all(error.retry_after_seconds for error in refused)


async def test_more_calls_than_the_bulkhead_takes_are_told_so(nats: World) -> None:
    async with pair(nats, client_options={"max_concurrent": 2}) as calls:
        opened = asyncio.Event()

        async def answer(_: str) -> None:
            await opened.wait()

        calls.answer = answer
        slow = [asyncio.create_task(calls.accept(timeout_seconds=20)) for _ in range(2)]
        await until(lambda: len(calls.asked) == 2, "both were asked")
        with pytest.raises(BulkheadFullError):
            await calls.accept(timeout_seconds=0.1)
        opened.set()
        await asyncio.gather(*slow)


async def test_deadline_and_trace_reach_the_handler_and_hold_for_what_it_calls(calls: Pair) -> None:
    seen: list[tuple[float | None, Trace | None]] = []

    async def answer(_: str) -> None:
        seen.append((remaining_seconds(), current_trace()))

    calls.answer = answer
    set_trace(Trace("a" * 32, "b" * 16))
    await calls.get(timeout_seconds=0.7)
    remaining, trace = seen[0]
    assert remaining is not None
    assert 0 < remaining <= 0.7
    assert trace is not None
    assert trace.trace_id == "a" * 32
    assert trace.span_id != "b" * 16


async def test_an_error_of_a_dependency_is_the_cause_of_ours(calls: Pair) -> None:
    calls.answer = raising(NotFoundError("no such player", endpoint="player.get", service="player-nats"))
    with pytest.raises(InternalServiceError, match="a service that this one asks refused") as failed:
        await calls.accept()
    cause = failed.value.cause
    assert isinstance(cause, NotFoundError)
    assert (cause.service, cause.endpoint, cause.message) == ("player-nats", "player.get", "no such player")


async def test_the_service_protocol_tells_who_is_there_and_how_it_fares(nats: World, calls: Pair) -> None:
    await calls.get()
    calls.answer = raising(NotFoundError("no such quest"))
    with pytest.raises(NotFoundError):
        await calls.get()
    context = DirectoryCertificates(nats.certificates("loadtest")).fetch().context()
    asker = await connect(nats.node.url, tls=context, inbox_prefix="_INBOX.loadtest", allow_reconnect=False)
    try:
        answers = {
            verb: json.loads((await asker.request(f"$SRV.{verb}{rest}", timeout=5)).data)
            for verb, rest in (("PING", ""), ("INFO", ".quest-nats"), ("STATS", ".quest-nats"))
        }
        instance = answers["PING"]["id"]
        assert json.loads((await asker.request(f"$SRV.PING.quest-nats.{instance}", timeout=5)).data)["id"] == instance
    finally:
        await asker.close()
    assert [each["type"] for each in answers.values()] == [
        f"io.nats.micro.v1.{verb}_response" for verb in ("ping", "info", "stats")
    ]
    assert {each["name"] for each in answers.values()} == {"quest-nats"}
    described = {each["subject"]: each for each in answers["INFO"]["endpoints"]}
    assert described[GET]["queue_group"] == "q"
    assert described[GET]["metadata"]["request"] == "gaming.game.v1.GetQuestRequest"
    counted = {each["subject"]: each for each in answers["STATS"]["endpoints"]}[GET]
    assert (counted["num_requests"], counted["num_errors"]) == (2, 1)
    assert counted["last_error"] == "4:no such quest"


async def test_events_reach_every_listener_in_order(nats: World) -> None:
    heard: list[list[str]] = [[], []]

    def listener(into: list[str]) -> Callable[[Delivery], Awaitable[None]]:
        async def handler(delivery: Delivery) -> None:
            into.append(Quest.FromString(delivery.data).quest_id)

        return handler

    async with (
        NATSClient(nats.settings("quest-nats")) as one,
        NATSClient(nats.settings("quest-nats")) as other,
        NATSClient(nats.settings("caller-nats")) as teller,
    ):
        await one.subscribe(EVENT.subject, listener(heard[0]))
        await other.subscribe(EVENT.subject, listener(heard[1]))
        wanted = [f"q-{number}" for number in range(200)]
        for quest_id in wanted:
            await teller.publish(EVENT.subject, Quest(quest_id=quest_id))
        await until(lambda: all(len(each) == 200 for each in heard), "all were heard")
        assert heard == [wanted, wanted]


async def test_a_stored_event_is_dealt_with_once_and_comes_again_after_a_failure(nats: World) -> None:
    dealt: list[tuple[str, int]] = []
    service = Service(nats.settings("quest-nats"))

    @service.on_stored("quest-worker")
    async def work(message: StoredMessage) -> None:
        dealt.append((Quest.FromString(message.data).quest_id, message.deliveries))
        if message.deliveries == 1 and dealt[-1][0] == "fails":
            raise RuntimeError("not now")

    for subject in (GET, ACCEPT):

        async def never(_: object, __: Context) -> GetQuestReply:
            raise NotImplementedError

        endpoint = nats.settings("quest-nats").contract.serves[subject]
        service.add_handler(subject, never, endpoint.request_type(), endpoint.reply_type())
    running = asyncio.create_task(service.serve())
    async with NATSClient(nats.settings("caller-nats")) as client:
        first = await client.publish_durable(STORED.subject, Quest(quest_id="once"), message_id="m-1")
        assert await client.publish_durable(STORED.subject, Quest(quest_id="once"), message_id="m-1") == first
        await client.publish_durable(STORED.subject, Quest(quest_id="fails"))
        await until(lambda: ("fails", 2) in dealt, "the failed one came again")
    service.stop()
    await running
    assert sorted(dealt) == [("fails", 1), ("fails", 2), ("once", 1)]


async def test_a_bucket_keeps_values_and_refuses_lost_updates(calls: Pair) -> None:
    bucket = calls.client.bucket("notes")
    revision = await bucket.put("player-7", b"one")
    assert (await bucket.get("player-7")).value == b"one"
    await bucket.put("player-7", b"two", revision=revision)
    with pytest.raises(ConflictError, match="no longer at revision"):
        await bucket.put("player-7", b"three", revision=revision)
    with pytest.raises(AlreadyExistsError):
        await bucket.create("player-7", b"four")
    assert (await bucket.get("player-7")).value == b"two"
    await bucket.delete("player-7")
    with pytest.raises(NotFoundError, match="notes has no key player-7"):
        await bucket.get("player-7")
    assert await bucket.find("player-7") is None
    with pytest.raises(InvalidRequestError, match="a key has letters"):
        await bucket.get("a b")


async def test_that_a_key_is_not_there_is_an_answer_and_no_failed_call(
    calls: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = calls.client.bucket("notes")
    for _ in range(10):
        with pytest.raises(NotFoundError):
            await bucket.get("nobody")
    assert "a call failed" not in caplog.text


async def test_a_bucket_is_listed_over_more_than_one_batch(calls: Pair) -> None:
    bucket = calls.client.bucket("notes")
    for number in range(300):
        await bucket.put(f"page.{number:03}", str(number).encode())
    await bucket.put("page.000", b"again")
    await bucket.delete("page.001")
    entries = await bucket.entries("page.*")
    assert [entry.key for entry in entries] == ["page.000", *(f"page.{number:03}" for number in range(2, 300))]
    assert entries[0].value == b"again"
    assert await bucket.keys("none.*") == []


async def test_errors_are_logged_with_their_context(calls: Pair, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RetryExhaustedError):
        await calls.client.request(NOBODY, GetQuestRequest(), GetQuestReply)
    record = next(record for record in caplog.records if record.name == "sdk.calls")
    told = vars(record)
    assert (told["error"], told["endpoint"], told["attempt"]) == ("RetryExhaustedError", NOBODY, 3)
    assert len(told["trace_id"]) == 32
    assert told["elapsed_ms"] > 0
