"""Look whether a request keeps to the rules of its message, and tell all faults at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from reference_service.descriptors import Field
from reference_service.rules import Range, Rule, json_limit, refuses_zero, rule_of
from sdk.errors import InvalidRequestError, Violation

_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799  # the years 1 to 9999
_NANOSECONDS = 1_000_000_000
_SHOWN = 60


def validate(request: Message) -> None:
    """Refuse a request that breaks a rule.

    Raises:
        InvalidRequestError: With every fault and the path of its field.
    """
    violations = list(_faults(request, "", frozenset()))
    if violations:
        raise InvalidRequestError(violations=violations)


def refuse(field: str, why: str) -> InvalidRequestError:
    """Return the error of a fault that only a handler can see."""
    return InvalidRequestError(violations=[Violation(field, why)])


def _faults(message: Message, path: str, known: frozenset[str]) -> Iterator[Violation]:
    """Yield the faults of a message; `known` are identifiers that the request gives, which need not be repeated below."""
    given = known | {field.name for field, _ in message.ListFields()}
    for oneof in message.DESCRIPTOR.oneofs:
        # One with a single field is protobuf's own way to tell whether an `optional` field is there.
        if len(oneof.fields) > 1 and message.WhichOneof(oneof.name) is None:
            allowed = ", ".join(field.name for field in oneof.fields)
            yield Violation(f"{path}{oneof.name}", f"is missing; give one of {allowed}")
    for field in message.DESCRIPTOR.fields:
        rule = rule_of(field)
        if rule.is_ignored or (field.containing_oneof is not None and not message.HasField(field.name)):
            continue
        place, value = f"{path}{field.name}", getattr(message, field.name)
        if field.is_repeated:
            yield from _faults_of_many(field, rule, value, place, given)
        elif _is_missing(message, field):
            yield from _absence(field, rule, place, known)
        else:
            yield from _faults_of_one(field, rule, value, place, given)


def _is_missing(message: Message, field: Field) -> bool:
    if field.has_presence:
        return not message.HasField(field.name)
    return field.cpp_type in {FieldDescriptor.CPPTYPE_STRING, FieldDescriptor.CPPTYPE_ENUM} and not getattr(
        message, field.name
    )


def _absence(field: Field, rule: Rule, place: str, known: frozenset[str]) -> Iterator[Violation]:
    if rule.is_optional or field.name in known:
        return
    if field.enum_type is not None:
        if refuses_zero(field.enum_type):
            yield Violation(place, f"is missing; allowed: {_values(field)}")
    else:
        yield Violation(place, f"is missing{_allowed(rule)}")


def _faults_of_many(field: Field, rule: Rule, value: Any, place: str, given: frozenset[str]) -> Iterator[Violation]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return
    entries: Iterable[Any] = value
    if rule.count is not None and not _is_within(len(value), rule.count):
        yield Violation(place, f"has {len(value)} entries; allowed: {_told(rule.count)}")
        return
    if rule.is_different and len(set(entries)) != len(value):
        yield Violation(place, "has the same entry twice; each must be different")
    for number, entry in enumerate(entries):
        yield from _faults_of_one(field, rule, entry, f"{place}[{number}]", given)


def _faults_of_one(field: Field, rule: Rule, value: Any, place: str, given: frozenset[str]) -> Iterator[Violation]:
    if isinstance(value, Message):
        yield from _faults_of_message(field, rule, value, place, given)
    elif isinstance(value, str):
        if rule.characters is not None and not _is_within(len(value), rule.characters):
            yield Violation(place, f"has {len(value)} characters; allowed: {_told(rule.characters)}")
        elif rule.pattern is not None and not rule.pattern.fullmatch(value):
            yield Violation(place, f"is {value[:_SHOWN]!r}; allowed: {rule.told}")
    elif field.enum_type is not None:
        if value not in field.enum_type.values_by_number or (value == 0 and refuses_zero(field.enum_type)):
            yield Violation(place, f"is {value}; allowed: {_values(field)}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Violation(place, f"is {value}; it must be finite")
    elif rule.number is not None and not isinstance(value, bytes | bool) and not _is_within(value, rule.number):
        yield Violation(place, f"is {value:g}; allowed: {_told(rule.number)}")


def _faults_of_message(
    field: Field, rule: Rule, value: Message, place: str, given: frozenset[str]
) -> Iterator[Violation]:
    match value:
        case Timestamp():
            if not (_FIRST_SECOND <= value.seconds <= _LAST_SECOND and 0 <= value.nanos < _NANOSECONDS):
                yield Violation(place, "is no moment between the years 1 and 9999")
        case Duration():
            seconds = value.seconds + value.nanos / _NANOSECONDS
            longest = rule.seconds or _LAST_SECOND
            if not 0 < seconds <= longest:
                yield Violation(place, f"is {seconds:g} s; allowed: more than 0, and at most {longest:g} s")
        case Struct() | Value() | ListValue():
            yield from _faults_of_json(field, value, place)
        case _:
            yield from _faults(value, f"{place}.", given)


def _faults_of_json(field: Field, value: Message, place: str) -> Iterator[Violation]:
    limit = json_limit(field)
    try:
        size = len(json_format.MessageToJson(value, indent=None).encode())
    except (ValueError, json_format.SerializeToJsonError):
        yield Violation(place, "cannot be written as JSON: a number is not finite, or a value has no kind")
        return
    if limit is not None and size > limit:
        yield Violation(place, f"has {size} bytes as JSON; allowed: at most {limit}")


def _is_within(number: float, allowed: Range) -> bool:
    return allowed[0] <= number <= allowed[1]


def _told(allowed: Range) -> str:
    low, high = allowed
    return f"at least {low:g}" if math.isinf(high) else f"{low:.0f} to {high:.0f}"


def _allowed(rule: Rule) -> str:
    if rule.told:
        return f"; allowed: {rule.told}"
    return f"; allowed: {_told(rule.characters)} characters" if rule.characters else ""


def _values(field: Field) -> str:
    assert field.enum_type is not None  # noqa: S101  # callers ask of enums alone
    return ", ".join(value.name for value in field.enum_type.values if value.number)
