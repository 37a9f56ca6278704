"""Ask a service over NATS, as somebody at a terminal would: JSON in, JSON out."""

from __future__ import annotations

import logging
from difflib import get_close_matches

import nats.errors
from google.protobuf import json_format
from google.protobuf.message import Message

from catalog.catalog import Catalog
from catalog.environment import Environment
from catalog.nats_contract import Subject
from fleet.account import Account
from fleet.errors import InputError, WantingError
from fleet.local.plane.client import RunningPlane
from fleet.wire import Wire, certificates_of
from proto.messages import message_class

IDENTITY = "loadtest"
"""It may ask whatever may be asked twice, and change nothing."""
_ERROR, _CODE = "Nats-Service-Error", "Nats-Service-Error-Code"
_TIMEOUT = "Timeout-Ms"


async def call_subject(
    catalog: Catalog, environment: Environment, account: Account, plane: RunningPlane, subject: str, text: str
) -> str:
    """Ask a subject of the catalog, and return the reply as JSON.

    Raises:
        InputError: No service answers that subject, it is none that may be asked twice, or the request is not its message.
        WantingError: It did not answer, or answered with an error.
    """
    # asyncio complains of how nats-py ends a connection by TLS, which nobody here can mend.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    entry = _entry(catalog, subject)
    request = _message(text, message_class(entry.request))
    servers = plane.ask("status")["nats_servers"]
    if not servers:
        raise WantingError("the local plane runs no NATS node")
    client = await Wire(certificates_of(account, environment), servers).connect(IDENTITY)
    try:
        headers = {_TIMEOUT: str(round(entry.timeout_seconds * 1000))}
        answer = await client.request(
            subject, request.SerializeToString(), timeout=entry.timeout_seconds, headers=headers
        )
    except nats.errors.NoRespondersError as error:
        raise WantingError(f"nobody answers {subject} now\n  what runs: fleet local ps") from error
    except nats.errors.TimeoutError as error:
        raise WantingError(f"{subject} was not answered within {entry.timeout_seconds:g} s") from error
    finally:
        await client.close()
    if answer.headers and (told := answer.headers.get(_ERROR)):
        raise WantingError(f"{subject} answered with error {answer.headers.get(_CODE, '')}: {told}")
    return json_format.MessageToJson(message_class(entry.reply).FromString(answer.data))


def _entry(catalog: Catalog, subject: str) -> Subject:
    entry = catalog.subjects.get(subject)
    if entry is None:
        near = get_close_matches(subject, catalog.subjects, n=3, cutoff=0.4) or sorted(catalog.subjects)
        raise InputError(f"no service answers {subject!r}; near it: {', '.join(near)}")
    if not entry.idempotent:
        raise InputError(
            f"{subject} may not be asked twice, so the identity {IDENTITY} is not let to ask it\n"
            "  through the gateway it can be asked, by whoever its route allows"
        )
    return entry


def _message(text: str, kind: type[Message]) -> Message:
    try:
        return json_format.Parse(text, kind())
    except json_format.ParseError as error:
        fields = ", ".join(field.json_name for field in kind.DESCRIPTOR.fields)
        raise InputError(
            f"the request is no {kind.DESCRIPTOR.full_name}: {str(error).splitlines()[0]}\n  its fields: {fields or 'none'}"
        ) from error
