"""What a load test asks of each subject when nobody says otherwise: requests that are valid, and what they leave behind.

Lookups name what the world holds on its first day, or what is surely not there; that is then the good answer. What ends or
removes something names a thing that never was. What writes is left out unless it is asked for, and then writes things of the load
test's own; what would change the world for everybody is asked by a scenario that names it, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from proto.comments import comments
from proto.messages import message_class

VARIANTS = 16
"""So many different names are asked for, in turns."""
NOT_THERE = "NOT_FOUND"
_NUMBER = "{n}"
_NAME = f"load-test-{_NUMBER}"


class Effect(IntEnum):
    """What a request leaves behind."""

    NOTHING = 0
    OWN = 1
    """Something of the load test's own: a document, a setting, an event."""
    EVERYBODY = 2
    """It changes the world for all who play."""


@dataclass(frozen=True, slots=True)
class Known:
    """Requests of a message that are better than any that could be derived from it."""

    bodies: Sequence[Mapping[str, Any]]
    effect: Effect = Effect.NOTHING


# Messages whose name begins so only look, or take away what was never there.
_HARMLESS = re.compile(
    r"(Get|List|Locate|Search|Find|Resolve|Check|Verify|Detect|Describe|Plan|Classify|Embed|Forecast|Decide"
    r"|Delete|Release|Revoke|End)[A-Z]"
)


def _named(key: str, *values: str, **more: Any) -> Known:
    return Known([{key: value, **more} for value in values])


_PROBE = {"event_id": _NAME, "type": "load-test.probe", "source": "loadtest", "occurred_at": "2026-01-01T00:00:00Z"}
_WEATHER = {"sky": "SKY_CLEAR", "temperature_celsius": 15, "visibility_metres": 10_000}
_KNOWN: Mapping[str, Known] = {
    "gaming.core_ai.v1.ActivateModelRequest": Known([{"model_id": _NAME, "version": "1.0.0"}], Effect.OWN),
    "gaming.core_ai.v1.ClassifyTextRequest": Known(
        [{"text": "The lantern was lost in a storm.", "labels": ["calm", "storm"]}]
    ),
    "gaming.core_ai.v1.EmbedTextRequest": Known([{"texts": ["The wolves of the old woods sing."]}]),
    "gaming.core_ai.v1.GetModelRequest": _named("model_id", "small-1", "large-1"),
    "gaming.core_ai.v1.PlanInferenceRequest": _named("purpose", "PURPOSE_DIALOGUE", prompt_tokens=200),
    "gaming.core_ai.v1.ResolveModelRequest": _named("purpose", "PURPOSE_DIALOGUE", "PURPOSE_NARRATION"),
    "gaming.game.v1.AssignShardRequest": Known([{"session_id": _NAME, "region_id": "harbour"}], Effect.OWN),
    "gaming.game.v1.DecideBehaviorRequest": _named(
        "npc_id", "keeper", "smith", stimuli=[{"kind": "STIMULUS_KIND_APPROACH", "intensity": 0.5}]
    ),
    "gaming.game.v1.GetEntityRequest": _named("entity_id", "lantern", "body-1"),
    "gaming.game.v1.GetNpcRequest": _named("npc_id", "keeper", "smith"),
    "gaming.game.v1.GetQuestRequest": _named("quest_id", "lost-lantern", "wolf-song", player_id=_NAME),
    "gaming.game.v1.GetWorldStateRequest": _named("region_id", "harbour", "woods", max_entities=10),
    "gaming.infrastructure.v1.CheckPermissionRequest": Known([{"principal_id": _NAME, "permission": "session.start"}]),
    "gaming.infrastructure.v1.ForecastWeatherRequest": _named("region_id", "harbour", "woods", hours=12),
    "gaming.infrastructure.v1.GetSettingRequest": _named("name", "time.scale.max", "session.region.first"),
    "gaming.infrastructure.v1.GetWeatherRequest": _named("region_id", "harbour", "woods"),
    "gaming.infrastructure.v1.ListEventsRequest": Known([{"page_size": 10}]),
    "gaming.infrastructure.v1.PublishEventRequest": Known([{"event": _PROBE}], Effect.OWN),
    "gaming.infrastructure.v1.PutSettingRequest": Known(
        [{"name": "load-test.probe", "value": 1, "description": "Of the load test; nobody reads it."}], Effect.OWN
    ),
    "gaming.infrastructure.v1.SetTimeScaleRequest": Known([{"scale": 12}], Effect.EVERYBODY),
    "gaming.infrastructure.v1.SetWeatherRequest": Known(
        [{"region_id": "load-test", "weather": _WEATHER, "hold_for": "1s"}], Effect.OWN
    ),
    "gaming.specialized.v1.DescribeSceneRequest": _named("region_id", "harbour", "woods"),
    "gaming.specialized.v1.GetBodyRequest": _named("body_id", "body-1", "body-2"),
    "gaming.specialized.v1.GetCapabilityRequest": _named("capability_id", "walking", "fighting"),
    "gaming.specialized.v1.GetDocumentRequest": _named("document_id", "lighthouse", "wolves"),
    "gaming.specialized.v1.GetStoryArcRequest": _named("arc_id", "prologue", _NAME),
    "gaming.specialized.v1.PutDocumentRequest": Known(
        [{"document_id": _NAME, "document": {"title": "A load test", "body": "It was here.", "tags": ["load-test"]}}],
        Effect.OWN,
    ),
    "gaming.specialized.v1.RegisterCapabilityRequest": Known(
        [{"capability": {"capability_id": _NAME, "display_name": "Of the load test"}}], Effect.OWN
    ),
    "gaming.specialized.v1.SearchKnowledgeRequest": _named("query", "Who built the lighthouse?", "Why do wolves sing?"),
    "gaming.specialized.v1.SetPerformanceModeRequest": Known(
        [{"mode": "PERFORMANCE_MODE_BALANCED", "reason": "a load test"}], Effect.EVERYBODY
    ),
}


def effect_of(request: str) -> Effect:
    """Return what the request of a message leaves behind that a load test asks when nobody says otherwise."""
    if request in _KNOWN:
        return _KNOWN[request].effect
    return Effect.NOTHING if _HARMLESS.match(request.rpartition(".")[2]) else Effect.EVERYBODY


def bodies_of(request: str) -> tuple[dict[str, Any], ...]:
    """Return requests of a message, in protobuf's JSON."""
    known = _KNOWN.get(request)
    return expanded(known.bodies if known else [example(message_class(request).DESCRIPTOR)])


def expanded(bodies: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return bodies with numbers in the place of `{n}`: those that have it become several."""
    found = []
    for body in bodies:
        several = VARIANTS if _NUMBER in str(body) else 1
        found += [_numbered(body, str(number)) for number in range(several)]
    return tuple(found)


def _numbered(value: Any, number: str) -> Any:
    match value:
        case str():
            return value.replace(_NUMBER, number)
        case Mapping():
            return {key: _numbered(child, number) for key, child in value.items()}
        case list():
            return [_numbered(child, number) for child in value]
        case _:
            return value


_FIXED: Mapping[str, Any] = {
    "google.protobuf.Timestamp": "2026-01-01T00:00:00Z",
    "google.protobuf.Duration": "1s",
    "google.protobuf.Struct": {"load_test": True},
    "google.protobuf.Value": 1,
    "google.protobuf.ListValue": [],
}
_SEVERAL = re.compile(r"(\d+) to \d+ ")
_RANGE = re.compile(r"(-?\d+) to (-?\d+)")


def example(kind: Any) -> dict[str, Any]:
    """Return a request that keeps to what the comments in `proto/` say of its fields; what is optional is left out."""
    said = comments(kind.file.name)
    made: dict[str, Any] = {}
    oneofs = set[str]()
    for field in kind.fields:
        told = said.get(field.full_name, "")
        if told.startswith("Optional") or "is ignored" in told:
            continue
        oneof = field.containing_oneof
        if oneof is not None:
            if oneof.name in oneofs:
                continue
            oneofs.add(oneof.name)
        value = _repeated(field, told) if field.is_repeated else _single(field, told)
        if value is not None:
            made[field.name] = value
    return made


def _repeated(field: Any, told: str) -> list[Any] | None:
    least = _SEVERAL.search(told)
    if least is None or field.message_type is not None:
        return None
    return [f"load-test-{number}" for number in range(int(least[1]))]


def _single(field: Any, told: str) -> Any:
    if field.message_type is not None:
        return _FIXED.get(field.message_type.full_name) or example(field.message_type)
    if field.enum_type is not None:
        return next((value.name for value in field.enum_type.values if value.number), None)
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_STRING:
            if "BCP 47" in told:
                return "en"
            return "EUR" if "three capital letters" in told else _NAME
        case FieldDescriptor.CPPTYPE_STRING | FieldDescriptor.CPPTYPE_BOOL:
            return None
        case _:
            found = _RANGE.search(told)
            return 1 if found is None or int(found[1]) <= 1 <= int(found[2]) else int(found[1])
