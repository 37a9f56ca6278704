"""The reference runtime, as every service of the catalog at once, on a real server with the catalog's certificates and permissions."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import hmac
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from catalog import load_catalog
from proto.generated.gaming.common.v1 import types_pb2 as common
from proto.generated.gaming.core_ai.v1 import inference_pb2 as inference
from proto.generated.gaming.game.v1 import npc_pb2 as npc
from proto.generated.gaming.game.v1 import quest_pb2 as quest
from proto.generated.gaming.game.v1 import session_pb2 as session
from proto.generated.gaming.infrastructure.v1 import auth_pb2 as auth
from proto.generated.gaming.infrastructure.v1 import event_pb2 as events
from proto.generated.gaming.infrastructure.v1 import payment_pb2 as payment
from proto.generated.gaming.infrastructure.v1 import time_pb2 as time
from proto.generated.gaming.infrastructure.v1 import weather_pb2 as weather
from proto.generated.gaming.specialized.v1 import body_pb2 as body
from proto.generated.gaming.specialized.v1 import capability_pb2 as capability
from proto.generated.gaming.specialized.v1 import knowledge_pb2 as knowledge
from proto.generated.gaming.specialized.v1 import performance_pb2 as performance
from reference_service.answers.payment import signature
from reference_service.runtime import struct
from sdk.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RetryExhaustedError,
    ServiceUnavailableError,
    UnauthenticatedError,
)
from tests.nats_machines import ROOT
from tests.reference_fleet import GATEWAY, SECRETS, WAIT_SECONDS, Fleet, fleet

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

CATALOG = load_catalog(ROOT / "service_catalog.yaml")
SERVICES = [service.name for service in CATALOG.enabled if service.name != GATEWAY]
SUBJECTS = sorted(subject for service in CATALOG.enabled for subject in service.nats.serves)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_services(tmp_path_factory: pytest.TempPathFactory, fleet_bucket: Path) -> AsyncIterator[Fleet]:
    """Every service that is no gateway, two replicas of each."""
    async with fleet(tmp_path_factory.mktemp("fleet"), fleet_bucket, CATALOG) as made:
        await made.run([*SERVICES, *SERVICES])
        yield made


Fields = dict[str, Any]
PRICE = common.Money(currency_code="EUR", minor_units=499)
API_KEY = "key-of-a-program"
PASSWORD = "correct horse battery"
_SALT = b"salt-of-a-test"
PASSWORD_HASH = "$".join(
    [
        "scrypt$1024$8$1",
        base64.b64encode(_SALT).decode(),
        base64.b64encode(hashlib.scrypt(PASSWORD.encode(), salt=_SALT, n=1024, r=8, p=1, dklen=32)).decode(),
    ]
)


def stamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def paths(error: InvalidRequestError) -> set[str]:
    return {violation.field for violation in error.violations}


async def credentials(fleet: Fleet) -> Fields:
    await introduce(fleet)
    return {"api_key": API_KEY}


async def placed_session(fleet: Fleet) -> Fields:
    session_id = uuid.uuid4().hex
    await fleet.ask("shard.assign", session_id=session_id, region_id="woods")
    return {"session_id": session_id}


async def saved_state(fleet: Fleet) -> Fields:
    names = {"player_id": "p-saved", "key": "bag.first"}
    await fleet.ask("state.put", **names, value=struct({"coins": 3}))
    return names


async def begun_payment(fleet: Fleet) -> Fields:
    reply = await fleet.ask("payment.create", player_id="p-1", offer_id="starter-pack", expected_amount=PRICE)
    return {"payment_id": reply.payment.payment_id}


async def report(fleet: Fleet, status: payment.PaymentStatus.ValueType = payment.PAYMENT_STATUS_PAID) -> Fields:
    fields = {
        "notification_id": uuid.uuid4().hex,
        **await begun_payment(fleet),
        "status": status,
        "amount": PRICE,
        "occurred_at": stamp(datetime.now(UTC)),
    }
    return signed(fields)


async def paid_payment(fleet: Fleet) -> Fields:
    fields = await report(fleet)
    await fleet.ask("payment.notify", **fields)
    return {"payment_id": fields["payment_id"], "reason": "It was a mistake."}


async def taken_quest(fleet: Fleet) -> Fields:
    names = {"quest_id": "lost-lantern", "player_id": f"p-{uuid.uuid4().hex}"}
    await fleet.ask("quest.accept", **names)
    return {**names, "objective_id": "woods", "amount": 1}


async def begun_session(fleet: Fleet) -> Fields:
    reply = await fleet.ask("session.start", player_id="p-1", client_version="1.0.0")
    return {"session_id": reply.session.session_id}


async def story(fleet: Fleet) -> Fields:
    """A story of its own for each who asks: a session begins it, as events tell."""
    player_id = f"p-{uuid.uuid4().hex}"
    await fleet.ask("session.start", player_id=player_id, client_version="1.0.0")
    arc_id = f"arc-{player_id}"

    async def is_there() -> bool:
        try:
            await fleet.ask("story.arc.get", arc_id=arc_id)
        except NotFoundError:
            return False
        return True

    await until(is_there)
    return {"arc_id": arc_id, "region_id": "harbour"}


async def told_story(fleet: Fleet) -> Fields:
    fields = await story(fleet)
    beat = (await fleet.ask("story.beat.next", **fields)).beat
    return {"arc_id": fields["arc_id"], "beat_id": beat.beat_id, "option_id": beat.options[0].option_id}


def signed(fields: Fields) -> Fields:
    made = payment.NotifyPaymentRequest(**fields)
    return {**fields, "signature": signature(SECRETS["PAYMENT_WEBHOOK_SECRET"].encode(), made)}


async def introduce(fleet: Fleet) -> None:
    """Let auth-nats know a user and a program, as an operator does, by settings."""
    users = {"ada": {"principal_id": "p-ada", "roles": ["player"], "password": PASSWORD_HASH}}
    keys = {hashlib.sha256(API_KEY.encode()).hexdigest(): {"principal_id": "ci", "roles": ["operator"]}}
    for name, value in (("auth.users", users), ("auth.api.keys", keys)):
        made = Value(struct_value=struct(value))
        await fleet.ask("settings.put", name=name, value=made, description="Of a test.")


async def until(question: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await question():  # noqa: ASYNC110  # an answer changes without a sign
            await asyncio.sleep(0.02)


# A request for each subject that is served, in the world that the services furnish.
REQUESTS: dict[str, Fields | Callable[[Fleet], Awaitable[Fields]]] = {
    "ai.inference.plan": {"purpose": inference.PURPOSE_DIALOGUE, "prompt_tokens": 100},
    "ai.inference.run": {"purpose": inference.PURPOSE_DIALOGUE, "prompt": "Tell me of the lighthouse."},
    "ai.model.activate": {"model_id": "small-1", "version": "1.1.0"},
    "ai.model.get": {"model_id": "small-1"},
    "ai.model.list": {"purpose": inference.PURPOSE_NARRATION},
    "ai.model.resolve": {"purpose": inference.PURPOSE_EMBEDDING},
    "ai.text.classify": {"text": "a wolf in the woods", "labels": ["wolf", "harbour"]},
    "ai.text.embed": {"texts": ["one", "two"]},
    "ai.text.generate": {"purpose": inference.PURPOSE_NARRATION, "prompt": "The storm.", "language": "en"},
    "auth.permission.check": {"principal_id": "p-1", "permission": "session.start"},
    "auth.token.issue": credentials,
    "auth.token.revoke": {"token_id": "never-given"},
    "auth.token.verify": {"access_token": "never-given"},
    "body.claim": {"body_id": "body-2", "holder": common.EntityReference(kind=common.ENTITY_KIND_PLAYER, id="p-1")},
    "body.get": {"body_id": "body-2"},
    "body.release": {"body_id": "body-2"},
    "capability.get": {"capability_id": "walking"},
    "capability.list": {"holder": common.ENTITY_KIND_NPC},
    "capability.register": {
        "capability": capability.Capability(
            capability_id="swimming",
            display_name="Swimming",
            holders=[common.ENTITY_KIND_PLAYER],
            requires_ids=["walking"],
        )
    },
    "event.list": {},
    "event.publish": {
        "event": events.Event(
            event_id="asked-1", type="test.asked", source="tests", occurred_at=Timestamp(seconds=1_700_000_000)
        )
    },
    "knowledge.document.get": {"document_id": "wolves"},
    "knowledge.document.put": {
        "document_id": "bell",
        "document": knowledge.Document(title="The bell", body="The bell of the harbour rings at night."),
    },
    "knowledge.search": {"query": "what do the wolves sing?"},
    "narrative.scene.describe": {"region_id": "harbour"},
    "narrative.scene.list": {"region_id": "harbour"},
    "npc.behavior.decide": {
        "npc_id": "smith",
        "stimuli": [npc.Stimulus(kind=npc.STIMULUS_KIND_ATTACK, intensity=0.9)],
    },
    "npc.dialogue.speak": {"npc_id": "keeper", "player_id": "p-1", "text": "Where is your lantern?"},
    "npc.get": {"npc_id": "keeper"},
    "payment.get": begun_payment,
    "payment.notify": report,
    "payment.refund": paid_payment,
    "payment.create": {
        "player_id": "p-1",
        "offer_id": "starter-pack",
        "expected_amount": PRICE,
    },
    "performance.mode.get": {},
    "performance.mode.set": {"mode": performance.PERFORMANCE_MODE_QUALITY, "reason": "A quiet evening."},
    "quest.accept": {"quest_id": "lost-lantern", "player_id": "p-0"},
    "quest.advance": taken_quest,
    "quest.get": {"quest_id": "lost-lantern", "player_id": "p-0"},
    "quest.list": {"region_id": "harbour"},
    "session.end": begun_session,
    "session.get": begun_session,
    "session.start": {"player_id": "p-1", "client_version": "1.0.0"},
    "settings.get": {"name": "time.scale.max"},
    "settings.list": {"name_prefix": "time."},
    "settings.put": {"name": "test.asked", "value": Value(bool_value=True), "description": "Asked by a test."},
    "shard.assign": {"session_id": "s-0", "region_id": "woods"},
    "shard.locate": placed_session,
    "shard.release": placed_session,
    "state.delete": {"player_id": "p-0", "key": "nothing"},
    "state.list": {"player_id": "p-0"},
    "state.put": {"player_id": "p-0", "key": "bag.first", "value": struct({"coins": 3})},
    "state.get": saved_state,
    "story.arc.get": {"arc_id": "prologue"},
    "story.beat.next": story,
    "story.choice.record": told_story,
    "time.get": {},
    "time.scale.set": {"scale": 12.0},
    "time.schedule.create": {"first_at": time.WorldTime(day=900, minute_of_day=1), "event_type": "market.opens"},
    "weather.forecast": {"region_id": "harbour", "hours": 3},
    "weather.get": {"region_id": "harbour"},
    "weather.set": {"region_id": "woods", "weather": weather.Weather(sky=weather.SKY_FOG, visibility_metres=50)},
    "world.entity.update": {"entity_id": "lantern", "expected_revision": 1, "attributes": struct({"lit": True})},
    "world.entity.get": {"entity_id": "lantern"},
    "world.region.list": {"page_size": 1},
    "world.state.get": {"region_id": "woods", "max_entities": 10},
}


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_every_subject_of_every_contract_is_answered(all_services: Fleet, subject: str) -> None:
    given = REQUESTS[subject]
    fields = given if isinstance(given, dict) else await given(all_services)
    reply = await all_services.ask(subject, **fields)
    assert reply.DESCRIPTOR.full_name == CATALOG.subjects[subject].reply


class TestKeeping:
    """What is put is there: for all replicas, and until it is deleted."""

    async def test_what_one_replica_keeps_the_other_returns(self, all_services: Fleet) -> None:
        names = {"player_id": "p-both", "key": "quest.log"}
        await all_services.ask("state.put", **names, value=struct({"page": 7}))
        # Replicas share a queue group: of twenty answers, both give some.
        replies = [await all_services.ask("state.get", **names) for _ in range(20)]
        assert {reply.entry.value["page"] for reply in replies} == {7.0}

    async def test_what_is_deleted_is_not_found(self, all_services: Fleet) -> None:
        names = {"player_id": "p-gone", "key": "bag"}
        await all_services.ask("state.put", **names, value=struct({}))
        first = await all_services.ask("state.delete", **names)
        second = await all_services.ask("state.delete", **names)
        assert (first.deleted, second.deleted) == (True, False)
        with pytest.raises(NotFoundError, match="p-gone/bag"):
            await all_services.ask("state.get", **names)

    async def test_of_two_who_have_read_the_same_one_is_refused(self, all_services: Fleet) -> None:
        names = {"player_id": "p-race", "key": "gold"}
        await all_services.ask("state.put", **names, value=struct({"n": 0}), expected_revision=0)
        results = await asyncio.gather(
            *(all_services.ask("state.put", **names, value=struct({"n": n}), expected_revision=1) for n in range(1, 9)),
            return_exceptions=True,
        )
        assert sum(not isinstance(result, BaseException) for result in results) == 1
        assert {type(result) for result in results if isinstance(result, BaseException)} == {ConflictError}
        assert (await all_services.ask("state.get", **names)).entry.revision == 2

    async def test_changes_at_the_same_time_are_all_counted(self, all_services: Fleet) -> None:
        fields = await taken_quest(all_services)
        fields |= {"quest_id": "wolf-song", "objective_id": "wolf"}
        await all_services.ask("state.put", player_id=fields["player_id"], key="profile", value=struct({"level": 5}))
        await all_services.ask("quest.accept", quest_id="wolf-song", player_id=fields["player_id"])
        await asyncio.gather(*(all_services.ask("quest.advance", **fields) for _ in range(3)))
        reply = await all_services.ask("quest.get", quest_id="wolf-song", player_id=fields["player_id"])
        assert reply.progress.done_by_objective["wolf"] == 3
        assert reply.progress.status == quest.QUEST_STATUS_COMPLETED

    async def test_pages_give_each_thing_once(self, all_services: Fleet) -> None:
        keys = [f"item.{number:02}" for number in range(7)]
        for key in keys:
            await all_services.ask("state.put", player_id="p-pages", key=key, value=struct({}))
        await all_services.ask("state.put", player_id="p-pages", key="other", value=struct({}))
        found, token = [], ""
        for _ in range(3):
            reply = await all_services.ask(
                "state.list", player_id="p-pages", key_prefix="item.", page_size=3, page_token=token
            )
            found += [entry.key for entry in reply.entries]
            token = reply.next_page_token
        assert found == keys
        assert not token

    async def test_a_document_that_is_put_is_found_by_its_words(self, all_services: Fleet) -> None:
        document = knowledge.Document(title="Salt", body="The saltmakers boil seawater in copper pans.")
        created = await all_services.ask("knowledge.document.put", document_id="salt", document=document)
        again = await all_services.ask("knowledge.document.put", document_id="salt", document=document)
        hits = (await all_services.ask("knowledge.search", query="who boils seawater?")).hits
        assert (created.created, again.created) == (True, False)
        assert hits[0].document_id == "salt"

    async def test_a_setting_that_does_not_change_keeps_its_revision(self, all_services: Fleet) -> None:
        fields = {"name": "test.same", "value": Value(number_value=1), "description": "Of a test."}
        revisions = [(await all_services.ask("settings.put", **fields)).setting.revision for _ in range(2)]
        assert revisions == [1, 1]


class TestRefusals:
    """What is not right is refused, and says why."""

    @pytest.mark.parametrize(
        ("subject", "fields", "wanted"),
        [
            ("state.get", {"player_id": "P 1"}, {"player_id", "key"}),
            ("state.put", {"player_id": "p-1", "key": "UPPER"}, {"key", "value"}),
            ("state.list", {"player_id": "p-1", "page_size": 101}, {"page_size"}),
            ("state.list", {"player_id": "p-1", "page_token": "no token"}, {"page_token"}),
            ("quest.list", {"status": quest.QUEST_STATUS_ACTIVE}, {"player_id"}),
            ("ai.text.classify", {"text": "", "labels": ["one", "one"]}, {"text", "labels"}),
            ("ai.inference.run", {"purpose": inference.PURPOSE_DIALOGUE}, {"input"}),
            ("ai.text.generate", {"prompt": "x", "temperature": 2.5}, {"purpose", "temperature"}),
            ("weather.set", {"region_id": "woods", "weather": weather.Weather(temperature_celsius=61)}, {"weather.sky", "weather.temperature_celsius"}),
            ("weather.set", {"region_id": "woods", "weather": weather.Weather(sky=weather.SKY_FOG), "hold_for": Duration(seconds=86_401)}, {"hold_for"}),
            ("body.claim", {"body_id": "body-1", "holder": common.EntityReference(id="p-1")}, {"holder.kind"}),
            ("body.claim", {"body_id": "body-1", "holder": common.EntityReference(kind=common.ENTITY_KIND_PLAYER, id="p"), "required_capability_ids": ["flying"]}, {"required_capability_ids[0]"}),
            ("capability.register", {"capability": capability.Capability(capability_id="a", display_name="A", holders=[common.ENTITY_KIND_NPC], requires_ids=["nothing"])}, {"capability.requires_ids[0]"}),
            ("settings.put", {"name": "test.new", "value": Value(number_value=1)}, {"description"}),
            ("settings.put", {"name": "time.scale.max", "value": Value(string_value="fast")}, {"value"}),
            ("time.schedule.create", {"first_at": time.WorldTime(day=1, minute_of_day=0), "event_type": "market.opens"}, {"first_at"}),
            ("time.scale.set", {"scale": float("nan")}, {"scale"}),
            ("auth.token.issue", {"password": auth.PasswordCredential(user_name="ada", password="short")}, {"password.password"}),
            ("event.publish", {"event": events.Event(event_id="e", type="Not.Lower", source="s", occurred_at=Timestamp(seconds=1))}, {"event.type"}),
            ("knowledge.document.put", {"document_id": "one", "document": knowledge.Document(document_id="two", title="T", body="B")}, {"document_id"}),
        ],
    )  # fmt: skip
    async def test_what_breaks_a_rule_is_told_with_its_path(
        self, all_services: Fleet, subject: str, fields: Fields, wanted: set[str]
    ) -> None:
        with pytest.raises(InvalidRequestError) as caught:
            await all_services.ask(subject, **fields)
        assert paths(caught.value) == wanted

    @pytest.mark.parametrize(
        ("subject", "fields"),
        [
            ("quest.get", {"quest_id": "none"}),
            ("world.state.get", {"region_id": "none"}),
            ("session.start", {"player_id": "p-1", "client_version": "1", "region_id": "none"}),
            ("shard.assign", {"session_id": "s-none", "region_id": "none"}),
            ("ai.model.activate", {"model_id": "small-1", "version": "9"}),
            ("npc.dialogue.speak", {"npc_id": "none", "player_id": "p-1", "text": "Hello"}),
            ("payment.create", {"player_id": "p-1", "offer_id": "none", "expected_amount": PRICE}),
        ],
    )
    async def test_what_is_not_there_is_not_found(self, all_services: Fleet, subject: str, fields: Fields) -> None:
        with pytest.raises(NotFoundError):
            await all_services.ask(subject, **fields)

    async def test_a_quest_is_taken_once(self, all_services: Fleet) -> None:
        fields = await taken_quest(all_services)
        with pytest.raises(AlreadyExistsError):
            await all_services.ask("quest.accept", quest_id=fields["quest_id"], player_id=fields["player_id"])

    async def test_a_quest_asks_for_its_level(self, all_services: Fleet) -> None:
        with pytest.raises(ConflictError, match="from level 2 on"):
            await all_services.ask("quest.accept", quest_id="wolf-song", player_id="p-new")

    async def test_a_body_that_is_taken_is_not_given(self, all_services: Fleet) -> None:
        one, other = (common.EntityReference(kind=common.ENTITY_KIND_NPC, id=name) for name in ("one", "other"))
        await all_services.ask("body.claim", body_id="body-1", holder=one)
        with pytest.raises(ConflictError):
            await all_services.ask("body.claim", body_id="body-1", holder=other)
        world = await all_services.ask("world.entity.get", entity_id="body-1")
        assert world.entity.attributes["holder"] == "ENTITY_KIND_NPC/one"
        moved = await all_services.ask("body.claim", body_id="body-2", holder=one)
        assert moved.previous_body_id == "body-1"
        assert (await all_services.ask("body.get", body_id="body-1")).body.status == body.BODY_STATUS_FREE
        await all_services.ask("body.release", body_id="body-2")

    async def test_a_price_that_was_shown_and_is_another_now_is_a_conflict(self, all_services: Fleet) -> None:
        shown = common.Money(currency_code="EUR", minor_units=399)
        with pytest.raises(ConflictError, match="costs 499 EUR"):
            await all_services.ask("payment.create", player_id="p-1", offer_id="starter-pack", expected_amount=shown)


class TestEvents:
    """Events are kept once, in order, and heard."""

    async def test_an_event_that_is_told_twice_is_kept_once(self, all_services: Fleet) -> None:
        event = events.Event(event_id="twice", type="test.twice", source="tests", occurred_at=stamp(datetime.now(UTC)))
        first = await all_services.ask("event.publish", event=event)
        second = await all_services.ask("event.publish", event=event)
        assert (first.duplicate, second.duplicate) == (False, True)
        assert first.sequence == second.sequence

    async def test_pages_give_each_event_once_and_in_order(self, all_services: Fleet) -> None:
        began = datetime.now(UTC) - timedelta(seconds=1)
        for number in range(5):
            event = events.Event(
                event_id=f"page-{number}", type="test.paged", source="pages", occurred_at=stamp(datetime.now(UTC))
            )
            await all_services.ask("event.publish", event=event)
        found, token = [], ""
        while True:
            reply = await all_services.ask(
                "event.list", type_prefix="test.pag", source="pages", since=stamp(began), page_size=2, page_token=token
            )
            found += [event.event_id for event in reply.events]
            if not (token := reply.next_page_token):
                break
        assert found == [f"page-{number}" for number in range(5)]

    async def test_what_a_player_meets_counts_for_the_quest(self, all_services: Fleet) -> None:
        fields = await taken_quest(all_services)
        for number, place in enumerate(("woods", "lantern")):
            met = events.Event(
                event_id=f"{fields['player_id'][:50]}-{number}",
                type="world.place.entered",
                source="world-state-nats",
                occurred_at=stamp(datetime.now(UTC)),
                entity=common.EntityReference(kind=common.ENTITY_KIND_REGION, id=place),
                payload=struct({"player_id": fields["player_id"]}),
            )
            await all_services.ask("event.publish", event=met)

        async def is_completed() -> bool:
            reply = await all_services.ask("quest.get", quest_id="lost-lantern", player_id=fields["player_id"])
            return bool(reply.progress.status == quest.QUEST_STATUS_COMPLETED)

        await until(is_completed)

    async def test_a_change_of_mode_reaches_whoever_remembered_the_old_one(self, all_services: Fleet) -> None:
        async def is_planned_on(model_id: str) -> bool:
            # Twenty answers, so that both replicas give some.
            asked = {"purpose": inference.PURPOSE_DIALOGUE, "prompt_tokens": 10}
            replies = [await all_services.ask("ai.inference.plan", **asked) for _ in range(20)]
            return {reply.model_id for reply in replies} == {model_id}

        for mode, model_id in (
            (performance.PERFORMANCE_MODE_QUALITY, "large-1"),
            (performance.PERFORMANCE_MODE_ECONOMY, "small-1"),
            (performance.PERFORMANCE_MODE_BALANCED, "large-1"),
        ):
            await all_services.ask("performance.mode.set", mode=mode, reason="A test.")
            await until(functools.partial(is_planned_on, model_id))

    async def test_a_schedule_publishes_its_event_once_when_it_is_due(self, all_services: Fleet) -> None:
        async def opened() -> list[str]:
            reply = await all_services.ask("event.list", type_prefix="test.market.")
            return [event.payload["schedule_id"] for event in reply.events]

        async def is_told() -> bool:
            return schedule_id in await opened()

        try:
            await all_services.ask("time.scale.set", scale=0.0)
            now = (await all_services.ask("time.get")).world_time
            due = time.WorldTime(day=now.day, minute_of_day=now.minute_of_day + 1)
            made = await all_services.ask("time.schedule.create", first_at=due, event_type="test.market.opens")
            schedule_id = made.schedule_id
            await all_services.ask("time.scale.set", scale=1000.0)
            await until(is_told)
        finally:
            await all_services.ask("time.scale.set", scale=12.0)
        assert not made.HasField("expected_at")
        assert (await opened()).count(schedule_id) == 1


class TestTokens:
    """Whoever shows who they are gets a token, which holds until its end or until it is taken back."""

    async def test_a_token_holds_until_it_is_taken_back(self, all_services: Fleet) -> None:
        await introduce(all_services)
        password = auth.PasswordCredential(user_name="ada", password=PASSWORD)
        given = await all_services.ask("auth.token.issue", password=password)
        before = await all_services.ask("auth.token.verify", access_token=given.access_token)
        revoked = [await all_services.ask("auth.token.revoke", token_id=given.token_id) for _ in range(2)]
        after = await all_services.ask("auth.token.verify", access_token=given.access_token)
        assert before.valid
        assert (before.principal.principal_id, list(before.principal.roles)) == ("p-ada", ["player"])
        assert [each.revoked for each in revoked] == [True, False]
        assert (after.valid, after.fault) == (False, auth.TOKEN_FAULT_REVOKED)
        with pytest.raises(UnauthenticatedError):
            await all_services.ask("auth.token.issue", refresh_token=given.refresh_token)

    async def test_a_refresh_token_renews_once(self, all_services: Fleet) -> None:
        given = await all_services.ask("auth.token.issue", **await credentials(all_services))
        renewed = await all_services.ask("auth.token.issue", refresh_token=given.refresh_token)
        assert renewed.principal.principal_id == "ci"
        with pytest.raises(UnauthenticatedError):
            await all_services.ask("auth.token.issue", refresh_token=given.refresh_token)

    async def test_a_token_that_was_changed_does_not_hold(self, all_services: Fleet) -> None:
        given = await all_services.ask("auth.token.issue", **await credentials(all_services))
        payload, _, mac = given.access_token.partition(".")
        forged = base64.urlsafe_b64encode(
            base64.urlsafe_b64decode(payload + "==").replace(b"operator", b"admin")
        ).decode()
        for token in (f"{forged.rstrip('=')}.{mac}", given.refresh_token, f"{payload}.", "", "é.é"):
            if not token:
                continue
            reply = await all_services.ask("auth.token.verify", access_token=token)
            assert (reply.valid, reply.fault) == (False, auth.TOKEN_FAULT_INVALID)

    @pytest.mark.parametrize(
        "credential",
        [
            {"password": auth.PasswordCredential(user_name="ada", password="another password")},
            {"password": auth.PasswordCredential(user_name="nobody", password=PASSWORD)},
            {"api_key": "another-key"},
            {"refresh_token": "another-token"},
        ],
    )
    async def test_whoever_does_not_show_who_they_are_gets_none(self, all_services: Fleet, credential: Fields) -> None:
        await introduce(all_services)
        with pytest.raises(UnauthenticatedError):
            await all_services.ask("auth.token.issue", **credential)

    async def test_a_permission_follows_from_a_role(self, all_services: Fleet) -> None:
        await introduce(all_services)
        allowed = await all_services.ask("auth.permission.check", principal_id="ci", permission="payment.refund")
        refused = await all_services.ask("auth.permission.check", principal_id="p-ada", permission="payment.refund")
        assert (allowed.allowed, allowed.decided_by_role) == (True, "operator")
        assert not refused.allowed


class TestPayments:
    """A payment is what the provider says of it, and nobody else."""

    async def test_a_payment_is_paid_and_given_back_by_signed_reports(self, all_services: Fleet) -> None:
        paid = await report(all_services)
        first = await all_services.ask("payment.notify", **paid)
        second = await all_services.ask("payment.notify", **paid)
        payment_id = paid["payment_id"]
        back = await all_services.ask("payment.refund", payment_id=payment_id, reason="It was a mistake.")
        settled = signed({**paid, "notification_id": uuid.uuid4().hex, "status": payment.PAYMENT_STATUS_REFUNDED})
        await all_services.ask("payment.notify", **settled)
        now = (await all_services.ask("payment.get", payment_id=payment_id)).payment
        assert (first.duplicate, second.duplicate) == (False, True)
        assert back.payment.status == payment.PAYMENT_STATUS_REFUND_REQUESTED
        assert now.status == payment.PAYMENT_STATUS_REFUNDED
        assert now.refunded == PRICE

    async def test_a_report_that_is_not_signed_books_nothing(self, all_services: Fleet) -> None:
        forged = {**await report(all_services), "status": payment.PAYMENT_STATUS_FAILED}
        with pytest.raises(UnauthenticatedError):
            await all_services.ask("payment.notify", **forged)
        now = (await all_services.ask("payment.get", payment_id=forged["payment_id"])).payment
        assert now.status == payment.PAYMENT_STATUS_PENDING

    async def test_a_report_older_than_a_day_is_refused(self, all_services: Fleet) -> None:
        old = await report(all_services)
        old = signed({**old, "occurred_at": stamp(datetime.now(UTC) - timedelta(days=1, minutes=1))})
        with pytest.raises(InvalidRequestError) as caught:
            await all_services.ask("payment.notify", **old)
        assert paths(caught.value) == {"occurred_at"}

    async def test_what_is_not_paid_is_not_given_back(self, all_services: Fleet) -> None:
        with pytest.raises(ConflictError):
            await all_services.ask("payment.refund", **await begun_payment(all_services), reason="Why not?")

    async def test_the_link_to_the_provider_is_signed(self, all_services: Fleet) -> None:
        reply = await all_services.ask(
            "payment.create", player_id="p-1", offer_id="starter-pack", expected_amount=PRICE
        )
        address = urlsplit(reply.checkout_url)
        signed_part, _, mac = address.query.rpartition("&signature=")
        expected = hmac.digest(SECRETS["PAYMENT_MERCHANT_KEY"].encode(), signed_part.encode(), "sha256").hex()
        assert mac == expected
        assert parse_qs(address.query)["payment"] == [reply.payment.payment_id]

    async def test_nobody_pays_who_may_not(self, all_services: Fleet) -> None:
        await introduce(all_services)
        with pytest.raises(PermissionDeniedError):
            await all_services.ask("payment.create", player_id="ci", offer_id="starter-pack", expected_amount=PRICE)


class TestWeather:
    """Weather that somebody makes holds for a while, and is the same for all."""

    async def test_weather_that_was_made_is_what_all_see(self, all_services: Fleet) -> None:
        fog = weather.Weather(sky=weather.SKY_FOG, temperature_celsius=3, visibility_metres=40)
        await all_services.ask("weather.set", region_id="harbour", weather=fog)
        state = await all_services.ask("world.state.get", region_id="harbour")
        assert state.weather == fog


async def test_a_session_brings_together_what_belongs_to_it(all_services: Fleet) -> None:
    fields = await taken_quest(all_services)
    begun = await all_services.ask("session.start", player_id=fields["player_id"], client_version="1.0.0")
    placed = await all_services.ask("shard.locate", session_id=begun.session.session_id)
    ended = [await all_services.ask("session.end", session_id=begun.session.session_id) for _ in range(2)]
    assert list(begun.session.active_quest_ids) == ["lost-lantern"]
    assert begun.session.region_id == "harbour"
    assert placed.assignment.shard_id == begun.session.shard_id
    assert ended[0].session == ended[1].session
    assert ended[0].session.status == session.SESSION_STATUS_ENDED
    with pytest.raises(NotFoundError):
        await all_services.ask("shard.locate", session_id=begun.session.session_id)


async def test_who_may_do_what_is_not_guessed_while_the_settings_are_away(tmp_path: Path, fleet_bucket: Path) -> None:
    async with fleet(tmp_path, fleet_bucket, CATALOG) as made:
        await made.run(["auth-nats"])
        with pytest.raises((ServiceUnavailableError, RetryExhaustedError)):
            await made.ask("auth.permission.check", principal_id="p-1", permission="session.start")
