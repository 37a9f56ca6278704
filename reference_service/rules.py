"""What the comments in `proto/` demand of a field, read as rules: the comment is the only place where a limit stands.

`2 to 50 different ones`, `at most 64 kB as JSON`, `up to 4096`, … : a test holds that no number in the comment of a request's field is
left unread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from google.protobuf.descriptor import FieldDescriptor

from proto.comments import comments
from reference_service.descriptors import Enum, Field, Kind

Range = tuple[float, float]

_INFINITY = float("inf")
_IDENTIFIER = r"[a-z0-9_-]{1,64}"
_PATTERNS = (
    # What a comment says, what a value must look like, and how that is told.
    ("lower-case words with dots", r"[a-z][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*", "lower-case words with dots"),
    ('characters of a-z, 0-9, ".", "-" and "_"', r"[a-z0-9._-]+", 'a-z, 0-9, ".", "-" and "_"'),
    ("three capital letters", r"[A-Z]{3}", "three capital letters"),
    ("BCP 47 tag", r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", "a BCP 47 tag"),
)
_NUMBERS = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT32,
        FieldDescriptor.CPPTYPE_UINT64,
        FieldDescriptor.CPPTYPE_FLOAT,
        FieldDescriptor.CPPTYPE_DOUBLE,
    }
)
_EACH = re.compile(r"(?:(\d+) to|at most) (\d+)(?: texts)? of (?:at most )?(\d+) characters each")
_DIFFERENT = re.compile(r"(\d+) to (\d+) different")
_CHARACTERS = re.compile(r"(?:(\d+) to|at most) (\d+) characters")
_AT_MOST = re.compile(r"at most (\d+)\b(?! kB)")
_JSON = re.compile(r"at most (\d+) kB as JSON")
_NUMBER_RANGES = (
    re.compile(r"(-?\d+) for [a-z ]+? (?:up )?to (\d+) for"),
    re.compile(r"(-?\d+) to (-?\d+)"),
    re.compile(r"()up to (\d+)"),
    re.compile(r"\b(?:from|at least) (\d+)()"),
)
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of a field."""

    is_optional: bool = False
    is_ignored: bool = False
    characters: Range | None = None
    count: Range | None = None
    """Of the entries of a repeated field."""
    number: Range | None = None
    json_bytes: int | None = None
    seconds: float | None = None
    """Longest duration."""
    pattern: re.Pattern[str] | None = None
    told: str = ""
    """The pattern, in words."""
    is_different: bool = False

    @property
    def has_limits(self) -> bool:
        """Whether a number was read from the comment."""
        return any((self.characters, self.count, self.number, self.json_bytes, self.seconds))


@cache
def rule_of(field: Field) -> Rule:
    """Return the rule of a field."""
    rule = _read(field, _said(field))
    if field.message_type is not None or rule.pattern or rule.has_limits:
        return rule
    twin = _twin(field)
    if twin is None:
        return rule
    whole = _read(twin, _said(twin))
    return replace(rule, characters=whole.characters, pattern=whole.pattern, told=whole.told)


@cache
def json_limit(field: Field) -> int | None:
    """Return how many bytes a field with free JSON may have."""
    twin = _twin(field)
    return rule_of(field).json_bytes or (None if twin is None else rule_of(twin).json_bytes)


@cache
def refuses_zero(enum: Enum) -> bool:
    """Tell whether the value 0 is refused in requests."""
    zero = enum.values_by_number[0]
    return "refused in requests" in comments(enum.file.name).get(f"{enum.full_name}.{zero.name}", "")


def _said(field: Field) -> str:
    owner = field.containing_type
    return "" if owner is None else comments(owner.file.name).get(field.full_name, "")


def _twin(field: Field) -> Field | None:
    """Return the field of the same name in what a request is about: `PutStateRequest.key` says "Which.", `StateEntry.key` says what it may be."""
    owner = field.containing_type
    if owner is None or not owner.name.endswith("Request"):
        return None
    reply = owner.file.pool.FindMessageTypeByName(f"{owner.full_name.removesuffix('Request')}Reply")
    about: list[Kind] = [part.message_type for part in reply.fields if part.message_type is not None]
    found = (kind.fields_by_name.get(field.name) for kind in about if kind.file.name == owner.file.name)
    return next((each for each in found if each is not None and each.type == field.type), None)


def _read(field: Field, said: str) -> Rule:  # noqa: PLR0911  # one for each kind of field
    rule = Rule(is_optional=said.startswith("Optional"), is_ignored="carries here is ignored" in said)
    if field.name.endswith(("_id", "_ids")) or field.name == "id":
        return replace(
            rule,
            pattern=re.compile(_IDENTIFIER),
            told='1 to 64 characters of a-z, 0-9, "-" and "_"',
            count=_range(_AT_MOST.search(said)) if field.is_repeated else None,
        )
    for words, pattern, told in _PATTERNS:
        if words in said:
            rule = replace(rule, pattern=re.compile(pattern), told=told)
    if (each := _EACH.search(said)) is not None:
        return replace(rule, count=(float(each[1] or 0), float(each[2])), characters=(1, float(each[3])))
    if field.is_repeated:
        different = _DIFFERENT.search(said)
        return replace(rule, count=_range(different or _AT_MOST.search(said)), is_different=different is not None)
    if (json := _JSON.search(said)) is not None:
        return replace(rule, json_bytes=int(json[1]) * 1000)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return replace(rule, characters=_range(_CHARACTERS.search(said)))
    if field.cpp_type in _NUMBERS:
        found = next((match for match in (each.search(said) for each in _NUMBER_RANGES) if match), None)
        least: Range | None = (0, _INFINITY) if "never negative" in said else None
        return replace(rule, number=_range(found) or least)
    return replace(rule, seconds=_DAY_SECONDS if "up to a day" in said else None)


def _range(match: re.Match[str] | None) -> Range | None:
    if match is None:
        return None
    numbers = match.groups()
    low, high = numbers if len(numbers) > 1 else (None, numbers[0])
    return float(low or 0), float(high) if high else _INFINITY
