"""A stream of the service as a log: what is appended once is there once, and is read from any place on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nats.errors

from sdk import NATSClient, ServiceUnavailableError, remaining_seconds

_READ_SECONDS = 2.0
_NO_RESPONDERS = "503"


@dataclass(frozen=True, slots=True)
class Stored:
    """A message and its place in the order of all."""

    sequence: int
    data: bytes


async def append(client: NATSClient, subject: str, data: bytes, message_id: str) -> tuple[int, bool]:
    """Append a message; return its place, and whether it was there already.

    Raises:
        ServiceUnavailableError: The stream did not take it.
        CallError: It could not be asked.
    """
    answer = await client.request_raw(
        subject, data, headers={"Nats-Msg-Id": message_id}, timeout_seconds=_READ_SECONDS, idempotent=True
    )
    told: Mapping[str, Any] = json.loads(answer.data)
    if "error" in told:
        raise ServiceUnavailableError(f"the stream did not take the event: {told['error'].get('description', '')}")
    return int(told["seq"]), bool(told.get("duplicate"))


async def read(client: NATSClient, stream: str, wanted: Mapping[str, object]) -> list[Stored]:
    """Return a batch of messages, by the terms of JetStream's direct get (`batch`, `seq` or `start_time`, `next_by_subj`).

    Raises:
        ServiceUnavailableError: Nobody answered for the stream.
    """
    connection = client.connection()
    left = remaining_seconds()
    timeout = _READ_SECONDS if left is None else min(_READ_SECONDS, left)
    found: list[Stored] = []
    inbox = connection.new_inbox()
    answers = await connection.subscribe(inbox)
    try:
        await connection.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(wanted).encode(), reply=inbox)
        while True:
            message = await answers.next_msg(timeout)
            headers = message.headers or {}
            status = headers.get("Status", "")
            if status == _NO_RESPONDERS:
                raise ServiceUnavailableError(f"nobody answers for {stream} now")
            if status:  # the end of the batch, or nothing from there on
                return found
            found.append(Stored(int(headers["Nats-Sequence"]), message.data))
    except nats.errors.Error as error:
        raise ServiceUnavailableError(f"{stream} did not answer in time") from error
    finally:
        await answers.unsubscribe()
