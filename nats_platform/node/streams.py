"""Brings JetStream to what the catalog asks for: makes what is missing, changes what differs, and loses nothing unless told so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nats_platform.node import wanted_streams
from nats_platform.node.certificates import provisioner_context
from nats_platform.node.deliver_certificates import RefusedError
from nats_platform.node.jetstream import JetStream, Sleep, connected, patiently
from nats_platform.node.losses import REBUILT, losses
from nats_platform.node.settings import Settings

Work = Callable[[], Awaitable[Any]]


@dataclass
class Changes:
    """What was done, or would be: nothing is when it is a dry run."""

    dry_run: bool
    changed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """What is there and not in the catalog: it is told of, and stays."""

    async def make(self, what: str, work: Work, sleep: Sleep = asyncio.sleep) -> None:
        """Do something; what the server refuses is told of, and the rest goes on.

        What it cannot do now is asked for again: everything that is made here is the same when it is made twice.
        """
        if not self.dry_run:
            try:
                await patiently(work, sleep)
            except RefusedError as error:
                self.refused.append(f"{what}: {error}")
                return
        self.changed.append(what)

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return vars(self)


def apply_streams(settings: Settings, asked: Mapping[str, Any], *, dry_run: bool) -> Changes:
    """Apply streams, consumers and buckets; what `allow_data_loss` names may lose messages.

    Raises:
        RefusedError: JetStream cannot be asked.
    """
    context = provisioner_context(settings)

    async def run() -> Changes:
        async with connected(settings, context) as jetstream:
            return await bring_about(jetstream, asked, replicas=len(settings.nodes), dry_run=dry_run)

    return asyncio.run(run())


async def bring_about(jetstream: JetStream, asked: Mapping[str, Any], *, replicas: int, dry_run: bool) -> Changes:
    """Apply what is asked to JetStream."""
    changes = Changes(dry_run)
    wanted, allowed = wanted_streams.streams(asked, replicas), set(asked.get("allow_data_loss") or [])
    there = {each["config"]["name"]: each for each in await patiently(jetstream.streams)}
    for name, config in wanted.items():
        if name in there:
            allow_loss = bool(allowed & {name, _bucket(name)})
            await _change_stream(jetstream, changes, config, there[name], allow_loss=allow_loss)
        else:
            await changes.make(f"stream {name}: made", _asking(jetstream, f"STREAM.CREATE.{name}", config))
    consumers = {(stream, config["name"]): config for stream, config in wanted_streams.consumers(asked)}
    for (stream, _), config in consumers.items():
        await _change_consumer(jetstream, changes, stream, config, is_new=stream not in there)
    for name in sorted(there):
        if name not in wanted:
            changes.kept.append(f"stream {name}")
        found = sorted(each["name"] for each in await patiently(partial(jetstream.consumers, name)))
        changes.kept += [f"consumer {name} {each}" for each in found if (name, each) not in consumers]
    return changes


async def _change_stream(
    jetstream: JetStream, changes: Changes, wanted: Mapping[str, Any], info: Mapping[str, Any], *, allow_loss: bool
) -> None:
    name = wanted["name"]
    config = info["config"]
    differing = {key: value for key, value in wanted.items() if config.get(key) != value}
    if not differing:
        return
    told = ", ".join(f"{key} {_shown(config.get(key))} → {_shown(value)}" for key, value in differing.items())
    held: list[str] = []
    if "subjects" in differing:
        told_of = await patiently(partial(jetstream.ask, f"STREAM.INFO.{name}", {"subjects_filter": ">"}))
        held = list(told_of["state"].get("subjects") or {})
    lost = list(losses(wanted, info, held))
    if lost and not allow_loss:
        changes.refused.append(f"stream {name}: {'; '.join(lost)}; allow_data_loss does not name it")
    elif any(key in differing for key in REBUILT):
        await changes.make(f"stream {name}: made anew, {told}", lambda: _make_anew(jetstream, wanted))
    else:
        updated = {**config, **wanted}
        await changes.make(f"stream {name}: {told}", _asking(jetstream, f"STREAM.UPDATE.{name}", updated))


async def _make_anew(jetstream: JetStream, wanted: Mapping[str, Any]) -> None:
    await jetstream.find(f"STREAM.DELETE.{wanted['name']}")  # gone already, where the second half is tried again
    await jetstream.ask(f"STREAM.CREATE.{wanted['name']}", wanted)


async def _change_consumer(
    jetstream: JetStream, changes: Changes, stream: str, wanted: Mapping[str, Any], *, is_new: bool
) -> None:
    name = wanted["name"]
    what, subject = f"consumer {stream} {name}", f"CONSUMER.CREATE.{stream}.{name}"
    asked = {"stream_name": stream, "config": wanted}
    find = partial(jetstream.find, f"CONSUMER.INFO.{stream}.{name}")
    info = None if is_new and changes.dry_run else await patiently(find)
    if info is None:
        await changes.make(f"{what}: made", _asking(jetstream, subject, {**asked, "action": "create"}))
        return
    config = {**info["config"], "filter_subjects": _filters(info["config"])}
    differing = {key: value for key, value in wanted.items() if config.get(key) != value}
    if differing:
        told = ", ".join(f"{key} {_shown(config.get(key))} → {_shown(value)}" for key, value in differing.items())
        await changes.make(f"{what}: {told}", _asking(jetstream, subject, {**asked, "action": "update"}))


def _asking(jetstream: JetStream, subject: str, body: Mapping[str, Any]) -> Work:
    return lambda: jetstream.ask(subject, body)


def _filters(config: Mapping[str, Any]) -> list[str]:
    """Return the subjects that a consumer wants, however few the server writes down."""
    single = [config["filter_subject"]] if config.get("filter_subject") else []
    return sorted(config.get("filter_subjects") or single)


def _bucket(stream: str) -> str:
    """Return the name of the bucket that a stream is; its own where it is none."""
    prefix = wanted_streams.BUCKET_PREFIX
    return stream.removeprefix(prefix)


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
