"""JSON to the protobuf message of a subject and back, by protobuf's JSON mapping; path and query give fields too.

The library says whether a body fits a message; where it does not, it tells of one fault, in its own words and with a path that is made
for developers of protobuf. So a body that was refused is looked through once more, field by field, for all faults with their paths.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NoReturn, cast
from urllib.parse import unquote_to_bytes

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway.problems import Problem
from sdk import Violation

_WELL_KNOWN = "google.protobuf."
_MOST_FAULTS = 20
_MOST_VALUES = 10_000
"""More in one body would hold up everybody else: the library takes some microseconds for each."""
_LARGE_BYTES = 32 * 2**10
_LONGEST_SHOWN = 60
# Whatever keeps the library from taking a value; it does not always say so by its own exception.
_REFUSALS = (json_format.ParseError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
_FRACTIONS = frozenset({FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE})
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_PART = re.compile(r"([A-Za-z0-9_]+)(.*)", re.DOTALL)


class UnwritableError(Exception):
    """JSON has no form for a message: it has a time after the year 9999, or NaN in a `Struct`."""


def request_message(kind: type[Message], path: Mapping[str, str], query: bytes, body: bytes | None) -> Message:
    """Return the message that a request stands for.

    Args:
        kind: Its type.
        path: Values of fields that the path gave.
        query: The query string, as it came.
        body: The body; None where the method has none, and the query gives fields in its place.

    Raises:
        Problem: 400 where it cannot be read, names an unknown field or says two things of one; 422 where a value does not fit.
    """
    descriptor = cast("Descriptor", kind.DESCRIPTOR)  # the stubs know two kinds of it
    fields = _from_query(descriptor, query) if body is None else _from_body(body)
    if body is not None and query:
        raise Problem("malformed", "a request with a body gives its fields there; the query must be empty")
    if not fields:
        return kind(**path)  # by far the most requests: what the path gives is text already
    if path:
        _add_path(descriptor, fields, path)
    message = kind()
    try:
        json_format.ParseDict(fields, message)
    except _REFUSALS:
        _explain(descriptor, fields)
    if _is_lenient(descriptor):
        _check(descriptor, fields)
    return message


def reply_json(message: Message) -> bytes:
    """Return a message as JSON; fields that hold their default are there too.

    Raises:
        UnwritableError: JSON has no form for what a service put there.
    """
    try:
        plain = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    except (json_format.Error, ValueError, TypeError) as error:
        raise UnwritableError(str(error)) from error
    return _encode(plain).encode()


async def written(message: Message) -> bytes:
    """Return a message as JSON, like `reply_json`; a large one is written in a thread, since it takes long enough to hold up everybody.

    Raises:
        UnwritableError: JSON has no form for what a service put there.
    """
    return await asyncio.to_thread(reply_json, message) if message.ByteSize() > _LARGE_BYTES else reply_json(message)


def json_path(kind: type[Message], path: str) -> str:
    """Return the path of a field, as a service writes it, in the names of JSON: `position.region_id` is `position.regionId`."""
    parts: list[str] = []
    within = cast("Descriptor | None", kind.DESCRIPTOR)
    for part in path.split("."):
        found = _PART.fullmatch(part)
        field = within.fields_by_name.get(found[1]) if within is not None and found else None
        parts.append(f"{field.json_name}{found[2]}" if field is not None and found else part)
        within = field.message_type if field is not None else None
    return ".".join(parts)


def _from_body(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        fields = json.loads(body.decode(), parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise Problem("malformed", f"the body is not UTF-8, at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise Problem(
            "malformed", f"the body is not JSON: {error.msg}, line {error.lineno} column {error.colno}"
        ) from None
    except RecursionError:
        raise Problem("malformed", "the body is nested too deeply") from None
    except ValueError as error:  # a number of thousands of digits, NaN, or a name that is there twice
        raise Problem("malformed", f"the body is not JSON: {_shortened(str(error))}") from None
    if not isinstance(fields, dict):
        raise Problem("malformed", f"the body is {_kind_of(fields)}; it must be a JSON object")
    _check_number_of_values(fields)
    return fields


def _check_number_of_values(fields: dict[str, Any]) -> None:
    found, within = 0, list[dict[str, Any] | list[Any]]([fields])
    while within:
        each = within.pop()
        found += len(each)
        if found > _MOST_VALUES:
            raise Problem("too-large", f"a body has at most {_MOST_VALUES} values")
        within += (
            value for value in (each.values() if isinstance(each, dict) else each) if isinstance(value, dict | list)
        )


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):  # the library takes it where any JSON is taken, and could never write it again
        raise ValueError(f"{text} is more than a number holds")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return made


def _from_query(descriptor: Descriptor, query: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    unknown: list[Violation] = []
    for pair in filter(None, query.split(b"&")):
        raw_name, _, raw_value = pair.partition(b"=")
        name, text = _unquoted(raw_name), _unquoted(raw_value)
        field = _field(descriptor, name)
        if field is None or not _fits_a_query(field):
            unknown.append(Violation(name, _no_such_field(descriptor)))
            continue
        value = {"true": True, "false": False}.get(text, text) if field.cpp_type == field.CPPTYPE_BOOL else text
        if field.is_repeated:
            fields.setdefault(field.json_name, []).append(value)
        elif field.json_name in fields:
            raise Problem("malformed", violations=[Violation(field.json_name, "is there twice; it has one value")])
        else:
            fields[field.json_name] = value
    if unknown:
        raise Problem("malformed", violations=unknown[:_MOST_FAULTS])
    return fields


def _unquoted(raw: bytes) -> str:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise Problem("malformed", "the query is not UTF-8") from None


def _fits_a_query(field: FieldDescriptor) -> bool:
    """Tell whether a field's value is one word in JSON."""
    message = field.message_type
    return message is None or message.full_name in {f"{_WELL_KNOWN}Timestamp", f"{_WELL_KNOWN}Duration"}


def _add_path(descriptor: Descriptor, fields: dict[str, Any], path: Mapping[str, str]) -> None:
    for name, value in path.items():
        field = descriptor.fields_by_name[name]
        for given in {name, field.json_name} & fields.keys():
            if fields.pop(given) != value:
                told = "is not what the path says; leave it out, or give the same"
                raise Problem("malformed", violations=[Violation(field.json_name, told)])
        fields[field.json_name] = value


@cache
def _is_lenient(descriptor: Descriptor) -> bool:
    """Tell whether the library takes for some field what nobody means: for an enum any number, for a number true and false."""
    seen, within = set[str](), [descriptor]
    while within:
        each = within.pop()
        if each.full_name in seen or each.full_name.startswith(_WELL_KNOWN):
            continue
        seen.add(each.full_name)
        if any(field.enum_type is not None or field.cpp_type in _FRACTIONS for field in each.fields):
            return True
        within += [field.message_type for field in each.fields if field.message_type is not None]
    return False


def _explain(descriptor: Descriptor, fields: dict[str, Any]) -> NoReturn:
    """Raise all faults of a body that does not fit."""
    _check(descriptor, fields)
    told = "two fields exclude one another, or one is there under both of its names"
    raise Problem("invalid", violations=[Violation("", told)])


def _check(descriptor: Descriptor, fields: dict[str, Any]) -> None:
    """Raise all faults that values have."""
    unknown: list[Violation] = []
    wrong: list[Violation] = []
    for path, told, is_unknown in _faults(descriptor, fields, "", 0):
        (unknown if is_unknown else wrong).append(Violation(path, told))
        if len(unknown) + len(wrong) >= _MOST_FAULTS:
            break
    if unknown:
        raise Problem("malformed", violations=[*unknown, *wrong])
    if wrong:
        raise Problem("invalid", violations=wrong)


def _faults(descriptor: Descriptor, plain: object, path: str, depth: int) -> Iterator[tuple[str, str, bool]]:
    """Give path, description and whether the field is unknown, of each fault in a message."""
    if not isinstance(plain, dict):
        yield path, f"is {_kind_of(plain)}; it must be an object", False
        return
    if depth > 100:  # noqa: PLR2004  # protobuf's own bound
        yield path, "is nested too deeply", False
        return
    for name, value in plain.items():
        field, here = _field(descriptor, name), f"{path}.{name}" if path else name
        if field is None:
            yield here, _no_such_field(descriptor), True
        elif value is None:
            continue
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            yield from _map_faults(field, value, here, depth)
        elif not field.is_repeated:
            yield from _value_faults(field, value, here, depth)
        elif not isinstance(value, list):
            yield here, f"is {_kind_of(value)}; it must be a list", False
        else:
            for number, each in enumerate(value):
                yield from _value_faults(field, each, f"{here}[{number}]", depth)


def _map_faults(field: FieldDescriptor, value: object, path: str, depth: int) -> Iterator[tuple[str, str, bool]]:
    if not isinstance(value, dict):
        yield path, f"is {_kind_of(value)}; it must be an object", False
        return
    entry = cast("Descriptor", field.message_type).fields_by_name["value"]
    for key, each in value.items():
        yield from _value_faults(entry, each, f"{path}[{key}]", depth)


def _value_faults(field: FieldDescriptor, value: object, path: str, depth: int) -> Iterator[tuple[str, str, bool]]:
    message = field.message_type
    if message is not None and not message.full_name.startswith(_WELL_KNOWN):
        yield from _faults(message, value, path, depth + 1)
    elif value is None or not _fits(field, value):
        yield path, f"is {_shown(value)}; it must be {expectation(field)}", False


def _fits(field: FieldDescriptor, value: object) -> bool:
    """Ask the library whether a value alone fits a field."""
    if field.enum_type is not None and not (isinstance(value, str) and value in field.enum_type.values_by_name):
        return False
    if isinstance(value, bool) and field.cpp_type in _FRACTIONS:
        return False
    holder = message_factory.GetMessageClass(cast("Descriptor", field.containing_type))()
    try:
        json_format.ParseDict({field.name: [value] if field.is_repeated else value}, holder)
    except _REFUSALS:
        return False
    return True


def expectation(field: FieldDescriptor) -> str:
    """Return what a field takes, in words."""
    if field.message_type is not None:
        return {
            f"{_WELL_KNOWN}Timestamp": "a time such as 2026-01-31T12:00:00Z",
            f"{_WELL_KNOWN}Duration": "a duration in seconds such as 1.5s",
            f"{_WELL_KNOWN}Struct": "an object of whole characters and 64-bit numbers, nested less than 100 deep",
        }.get(field.message_type.full_name, f"a {field.message_type.name}")
    if field.enum_type is not None:
        return "one of " + ", ".join(value.name for value in field.enum_type.values)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return "bytes in Base64"
    return {
        FieldDescriptor.CPPTYPE_STRING: "text",
        FieldDescriptor.CPPTYPE_BOOL: "true or false",
        FieldDescriptor.CPPTYPE_INT32: "a whole number of 32 bits",
        FieldDescriptor.CPPTYPE_UINT32: "a whole number from 0 to 4294967295",
        FieldDescriptor.CPPTYPE_INT64: "a whole number of 64 bits",
        FieldDescriptor.CPPTYPE_UINT64: "a whole number of 64 bits, not below 0",
    }.get(field.cpp_type, "a number")


def _field(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    return descriptor.fields_by_camelcase_name.get(name) or descriptor.fields_by_name.get(name)


def _no_such_field(descriptor: Descriptor) -> str:
    known = ", ".join(field.json_name for field in descriptor.fields)
    return f"is no field; there is {known}" if known else "is no field; there are none"


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    kinds = {bool: "true or false", str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds[type(value)]


def _shown(value: object) -> str:
    if isinstance(value, (list, dict)):
        return _kind_of(value)
    return _shortened(json.dumps(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
