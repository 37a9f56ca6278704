"""What follows from the names of messages alone: how a thing is got, listed, put and deleted.

`GetX`, `ListX`, `PutX`, `RegisterX`, `CreateX`, `DeleteX`, `ReleaseX`: the reply says what X is (its first field that is a message of
ours), X's first field is its name, and fields of the same name mean the same. So a new entry with messages of these forms is served
without a line of code.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from proto.messages import message_class
from reference_service.descriptors import Field
from reference_service.records import key_fields, page, subject_of
from reference_service.runtime import Runtime
from reference_service.validation import refuse
from sdk.errors import ConflictError

Answer = Callable[[Runtime, Any], Awaitable[Message]]

_VERB = re.compile(r"([A-Z][a-z]+)(\w+)Request")
_PAGING = frozenset({"page_size", "page_token"})


def by_name(request: type[Message], reply: type[Message]) -> Answer | None:
    """Return how requests of a type are answered; nothing where their name does not say it."""
    match = _VERB.fullmatch(request.DESCRIPTOR.name)
    verb = _VERBS.get(match[1]) if match else None
    return verb(request, reply) if verb is not None and match is not None else None


def names_in(request: Message, kind: type[Message]) -> list[str]:
    """Return the names of the thing that a request is about: its own fields, or those of the thing that it carries.

    Raises:
        InvalidRequestError: They are given twice and differ.
    """
    carried = _carried(request, kind)
    names = []
    for name in key_fields(kind.DESCRIPTOR):
        own = str(getattr(request, name)) if name in request.DESCRIPTOR.fields_by_name else ""
        inner = str(getattr(carried, name)) if carried is not None else ""
        if own and inner and own != inner:
            raise refuse(name, f"is {own!r}, and {inner!r} in what is to be kept; give one of them, or the same twice")
        names.append(own or inner)
    return names


def apply(request: Message, thing: Message) -> None:
    """Set the fields of a thing that a request has."""
    carried = _carried(request, type(thing))
    if carried is not None:
        revision = getattr(thing, "revision", 0)
        names = {name: getattr(thing, name) for name in key_fields(thing.DESCRIPTOR)}
        thing.CopyFrom(carried)
        for name, value in (names | ({"revision": revision} if "revision" in _fields(thing) else {})).items():
            setattr(thing, name, value)
        return
    for field, value in request.ListFields():
        twin = thing.DESCRIPTOR.fields_by_name.get(field.name)
        if twin is None or twin.type != field.type:
            continue
        if isinstance(value, Message):
            getattr(thing, field.name).CopyFrom(value)
        else:
            setattr(thing, field.name, value)


def touch(runtime: Runtime, thing: Message) -> None:
    """Count a change of a thing, where it counts them."""
    if "revision" in _fields(thing):
        thing.revision += 1  # type: ignore[attr-defined]  # only some kinds have it
    if "updated_at" in _fields(thing):
        thing.updated_at.CopyFrom(runtime.stamp())  # type: ignore[attr-defined]  # only some kinds have it


def check_revision(request: Message, thing: Message) -> None:
    """Refuse a change of a thing that is not the one that the caller has read.

    Raises:
        ConflictError: It is another one now.
    """
    field = request.DESCRIPTOR.fields_by_name.get("expected_revision")
    if field is None or (field.has_presence and not request.HasField("expected_revision")):
        return
    now, expected = thing.revision, request.expected_revision  # type: ignore[attr-defined]  # such requests are of such things
    if now != expected:
        raise ConflictError(f"the revision is {now} by now, and not {expected}: read it anew, and decide again")


def _get(_: type[Message], reply: type[Message]) -> Answer | None:
    about = _about(reply)
    if about is None:
        return None
    field, kind = about

    async def get(runtime: Runtime, request: Message) -> Message:
        return reply(**{field.name: await runtime.store.get(kind, *names_in(request, kind))})

    return get


def _list(request_type: type[Message], reply: type[Message]) -> Answer | None:
    about = _about(reply)
    if about is None or not set(request_type.DESCRIPTOR.fields_by_name) >= _PAGING:
        return None
    field, kind = about
    first = key_fields(kind.DESCRIPTOR)[0]

    async def list_(runtime: Runtime, request: Any) -> Message:
        within = getattr(request, first, "")
        things = await runtime.store.every(kind, *([within] if within else []))
        found = [thing for thing in things if _fits(request, thing)]
        entries, token = page(found, request.page_size, request.page_token)
        return reply(**{field.name: entries, "next_page_token": token})

    return list_


def _put(_: type[Message], reply: type[Message]) -> Answer | None:
    about = _about(reply)
    if about is None:
        return None
    field, kind = about

    async def put(runtime: Runtime, request: Message) -> Message:
        names = names_in(request, kind)
        is_new = False

        def make() -> Message:
            return kind(**dict(zip(key_fields(kind.DESCRIPTOR), names, strict=True)))

        def edit(thing: Message) -> None:
            nonlocal is_new
            is_new = bool(make() == thing)
            check_revision(request, thing)
            apply(request, thing)
            touch(runtime, thing)

        kept = await runtime.store.change(kind, *names, edit=edit, make=make)
        told = {"created": is_new} if "created" in reply.DESCRIPTOR.fields_by_name else {}
        await runtime.tell(f"{_snake(kind)}.changed", None, names=names, created=is_new)
        return reply(**{field.name: kept}, **told)

    return put


def _delete(request_type: type[Message], reply: type[Message]) -> Answer | None:
    flags = [field.name for field in reply.DESCRIPTOR.fields if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL]
    kind = _deleted_kind(request_type)
    if len(flags) != 1 or kind is None:
        return None

    async def delete(runtime: Runtime, request: Message) -> Message:
        names = names_in(request, kind)
        there = await runtime.store.delete(kind, *names)
        if there:
            await runtime.tell(f"{_snake(kind)}.deleted", None, names=names)
        return reply(**{flags[0]: there})

    return delete


_VERBS: Mapping[str, Callable[[type[Message], type[Message]], Answer | None]] = {
    "Get": _get,
    "Locate": _get,
    "List": _list,
    "Put": _put,
    "Register": _put,
    "Create": _put,
    "Delete": _delete,
    "Release": _delete,
}


def _about(reply: type[Message]) -> tuple[Field, type[Message]] | None:
    field = subject_of(reply.DESCRIPTOR)
    return None if field is None or field.message_type is None else (field, message_class(field.message_type.full_name))


def _deleted_kind(request_type: type[Message]) -> type[Message] | None:
    """Return what a request deletes: its reply says no more than that, so the reply that gets it is asked."""
    descriptor = request_type.DESCRIPTOR
    for verb in ("Get", "Locate"):
        name = f"{verb}{_VERB.sub(lambda match: match[2], descriptor.name)}Reply"
        if name in descriptor.file.message_types_by_name:
            about = _about(message_class(descriptor.file.message_types_by_name[name].full_name))
            return about[1] if about is not None else None
    return None


def _carried(request: Message, kind: type[Message]) -> Message | None:
    for field, value in request.ListFields():
        if field.message_type is kind.DESCRIPTOR and not field.is_repeated:
            found: Message = value
            return found
    return None


def _fits(request: Message, thing: Message) -> bool:
    """Tell whether a thing is one of those that a list is asked for, by the fields that both have."""
    for field, wanted in request.ListFields():
        if field.name in _PAGING:
            continue
        stem = field.name.removesuffix("_prefix")
        if stem != field.name and not str(getattr(thing, stem, "")).startswith(wanted):
            return False
        if field.name in _fields(thing) and getattr(thing, field.name) != wanted:
            return False
        if f"{field.name}s" in _fields(thing) and wanted not in getattr(thing, f"{field.name}s"):
            return False
    return True


def _fields(thing: Message) -> Collection[str]:
    return thing.DESCRIPTOR.fields_by_name.keys()


def _snake(kind: type[Message]) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"-\1", kind.DESCRIPTOR.name).lower()
