"""How things are named in a bucket, and what a message tells of itself by the names of its fields."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.message import Message

from reference_service.descriptors import Field, Kind
from reference_service.validation import refuse

M = TypeVar("M", bound=Message)

_NEVER_IN_A_NAME = "="


def key_fields(kind: Kind) -> list[str]:
    """Return the fields that tell things of a kind apart: the first one, and `key` where it has one."""
    return [field.name for field in kind.fields if field.index == 0 or field.name == "key"]


def record_key(kind: str, names: Sequence[str]) -> str:
    """Return where a bucket keeps a thing; names may have dots, which part the words of a bucket's keys."""
    return ".".join([kind, *(name.replace(".", _NEVER_IN_A_NAME) for name in names)])


def key_of(thing: Message) -> list[str]:
    """Return the names of a thing."""
    return [str(getattr(thing, name)) for name in key_fields(thing.DESCRIPTOR)]


def subject_of(reply: Kind) -> Field | None:
    """Return the field of a reply with what it is about: its first one that is a message of ours."""
    fields = (field for field in reply.fields if field.message_type is not None and _is_ours(field.message_type))
    return next(fields, None)


def page(things: Sequence[M], page_size: int, page_token: str) -> tuple[Sequence[M], str]:
    """Return a page of things, which are in the order of their names, and the token of the next one.

    Raises:
        InvalidRequestError: The token is none of ours.
    """
    after = _name_in(page_token)
    rest = [thing for thing in things if not after or record_key("", key_of(thing)) > after]
    size = page_size or 50
    found = rest[:size]
    if len(rest) <= size:
        return found, ""
    return found, base64.urlsafe_b64encode(record_key("", key_of(found[-1])).encode()).decode()


def _name_in(token: str) -> str:
    try:
        return base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise refuse("page_token", "is none that a page gave; leave it out to begin anew") from None


def _is_ours(kind: Kind) -> bool:
    return not kind.full_name.startswith("google.protobuf.")
