"""What the comments of requests demand, and that nothing in them goes unread."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from catalog import load_catalog
from proto.comments import comments
from proto.generated.gaming.core_ai.v1 import inference_pb2, text_pb2
from proto.generated.gaming.game.v1 import npc_pb2, state_pb2, world_pb2
from proto.generated.gaming.infrastructure.v1 import auth_pb2, event_pb2, settings_pb2, time_pb2
from proto.generated.gaming.specialized.v1 import knowledge_pb2
from proto.messages import message_class
from reference_service.descriptors import Field, Kind
from reference_service.rules import Rule, json_limit, rule_of
from reference_service.service import ReferenceService
from reference_service.validation import validate
from sdk import Contract, Settings
from sdk.contract import Endpoint
from sdk.errors import InvalidRequestError
from tests.nats_machines import ROOT

CATALOG = load_catalog(ROOT / "service_catalog.yaml")
REQUESTS = sorted({subject.request for subject in CATALOG.subjects.values()})
# Numbers that are no limits, and a limit that the answer itself looks at.
ELSEWHERE = {
    "gaming.game.v1.PutStateRequest.expected_revision",
    "gaming.infrastructure.v1.CreateScheduleRequest.repeat_every_minutes",
    "gaming.infrastructure.v1.NotifyPaymentRequest.signature",
    "gaming.infrastructure.v1.NotifyPaymentRequest.occurred_at",
}
NUMBER = re.compile(r"\d")


def fields_of(kind: Kind, seen: set[str]) -> Iterator[Field]:
    """Yield the fields of a message and of those that it carries, of ours."""
    if kind.full_name in seen or kind.full_name.startswith("google.protobuf."):
        return
    seen.add(kind.full_name)
    for field in kind.fields:
        yield field
        if field.message_type is not None:
            yield from fields_of(field.message_type, seen)


def said(field: Field) -> str:
    assert field.containing_type is not None
    return comments(field.containing_type.file.name).get(field.full_name, "")


@pytest.mark.parametrize("name", REQUESTS)
def test_no_number_in_a_comment_goes_unread(name: str) -> None:
    unread = [
        f"{field.full_name}: {said(field)}"
        for field in fields_of(message_class(name).DESCRIPTOR, set())
        if NUMBER.search(said(field).replace("BCP 47", "").replace("ISO 4217", ""))
        and not (rule_of(field).has_limits or rule_of(field).pattern or field.full_name in ELSEWHERE)
        and not re.search(r"such as `[^`]*\d[^`]*`", said(field))
    ]
    assert unread == []


def field_of(kind: type[Message], name: str) -> Field:
    found: Field = kind.DESCRIPTOR.fields_by_name[name]
    return found


@pytest.mark.parametrize(
    ("kind", "name", "wanted"),
    [
        (text_pb2.GenerateTextRequest, "prompt", Rule(characters=(1, 16000))),
        (text_pb2.GenerateTextRequest, "max_tokens", Rule(is_optional=True, number=(0, 4096))),
        (text_pb2.GenerateTextRequest, "temperature", Rule(is_optional=True, number=(0, 2))),
        (text_pb2.GenerateTextRequest, "context", Rule(is_optional=True, count=(0, 50), characters=(1, 2000))),
        (text_pb2.ClassifyTextRequest, "labels", Rule(count=(2, 50), is_different=True)),
        (text_pb2.EmbedTextRequest, "texts", Rule(count=(1, 100), characters=(1, 8000))),
        (npc_pb2.DecideBehaviorRequest, "stimuli", Rule(count=(0, 20))),
        (npc_pb2.Stimulus, "intensity", Rule(number=(0, 1))),
        (time_pb2.WorldTime, "minute_of_day", Rule(number=(0, 1439))),
        (time_pb2.SetTimeScaleRequest, "scale", Rule(number=(0, 1000))),
        (inference_pb2.PlanInferenceRequest, "prompt_tokens", Rule(number=(1, 100000))),
        (auth_pb2.PasswordCredential, "password", Rule(characters=(12, 128))),
        (knowledge_pb2.Document, "updated_at", Rule(is_ignored=True)),
        (event_pb2.Event, "payload", Rule(is_optional=True, json_bytes=64_000)),
    ],
)
def test_a_comment_is_a_rule(kind: type[Message], name: str, wanted: Rule) -> None:
    assert rule_of(field_of(kind, name)) == wanted


def test_a_request_keeps_to_what_the_thing_says_that_it_is_about() -> None:
    key = rule_of(field_of(state_pb2.PutStateRequest, "key"))
    assert (key.characters, key.told) == ((1, 128), 'a-z, 0-9, ".", "-" and "_"')
    assert json_limit(field_of(settings_pb2.PutSettingRequest, "value")) == 16_000


def violations(request: Message) -> dict[str, str]:
    try:
        validate(request)
    except InvalidRequestError as error:
        return {violation.field: violation.description for violation in error.violations}
    return {}


def test_all_faults_are_told_at_once_with_what_is_allowed() -> None:
    request = state_pb2.PutStateRequest(player_id="Not An Id")
    assert violations(request) == {
        "player_id": 'is \'Not An Id\'; allowed: 1 to 64 characters of a-z, 0-9, "-" and "_"',
        "key": 'is missing; allowed: a-z, 0-9, ".", "-" and "_"',
        "value": "is missing",
    }


def test_a_password_is_in_no_fault() -> None:
    credential = auth_pb2.PasswordCredential(user_name="ada", password="short")
    told = violations(auth_pb2.IssueTokenRequest(password=credential))
    assert told == {"password.password": "has 5 characters; allowed: 12 to 128"}


def test_json_that_is_too_long_is_refused() -> None:
    request = state_pb2.PutStateRequest(player_id="p", key="k")
    request.value.update({"long": "x" * 256_000})
    assert violations(request) == {"value": "has 256012 bytes as JSON; allowed: at most 256000"}


def test_a_number_that_is_not_finite_is_refused_inside_json_too() -> None:
    request = world_pb2.UpdateEntityRequest(entity_id="e", expected_revision=1)
    request.attributes.update({"weight": float("inf")})
    assert set(violations(request)) == {"attributes"}


def test_what_a_request_names_need_not_be_named_below() -> None:
    document = knowledge_pb2.Document(title="T", body="B")
    assert violations(knowledge_pb2.PutDocumentRequest(document_id="d", document=document)) == {}


def test_a_subject_whose_messages_say_nothing_is_answered_by_conventions_or_not_at_all() -> None:
    """Every subject of the catalog has an answer; what has none says so when it is asked, and not before."""
    for service in CATALOG.enabled:
        serves = {name: Endpoint(subject=name, **plain.model_dump()) for name, plain in service.nats.serves.items()}
        settings = Settings(service=service.name, servers=("nats://localhost:1",), contract=Contract(serves=serves))
        assert ReferenceService(settings, variables={}).unanswered() == [], service.name
