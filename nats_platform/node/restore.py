"""Restores streams from a backup: all checksums first, then stream by stream, then a comparison with what was backed up."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from nats_platform.node import snapshot
from nats_platform.node.aws import Aws, Bucket
from nats_platform.node.backup import read_manifest
from nats_platform.node.certificates import provisioner_context
from nats_platform.node.deliver_certificates import RefusedError
from nats_platform.node.jetstream import JetStream, connected
from nats_platform.node.settings import Settings

_COMPARED_EMPTY = ("messages", "bytes", "last_seq", "consumer_count")
_COMPARED = (*_COMPARED_EMPTY, "first_seq")


def restore(settings: Settings, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Restore some streams, or all where none is named.

    Args:
        settings: This machine.
        asked: `backup` (a timestamp or `latest`), `streams`, and `overwrite`: whether a stream that holds messages goes.

    Raises:
        RefusedError: It cannot be. Until every checksum is right and every stream may be replaced, nothing is touched.
    """
    name = str(asked.get("backup", "latest"))
    if not re.fullmatch(r"latest|\d{8}T\d{6}Z", name):
        raise RefusedError(f"{name!r} is no backup; it is `latest` or a time such as 20260729T101500Z")
    manifest = read_manifest(settings, name)
    kept = _chosen(manifest["streams"], list(asked.get("streams") or []))
    bucket = Bucket(settings.bucket, Aws(settings.region))
    for stream in kept.values():
        _check(bucket, stream)
    context = provisioner_context(settings)

    async def run() -> None:
        async with connected(settings, context) as jetstream:
            there = await _in_the_way(jetstream, kept, overwrite=bool(asked.get("overwrite")))
            for name, stream in kept.items():
                if name in there:
                    await jetstream.ask(f"STREAM.DELETE.{name}")
                with bucket.reading(stream["key"]) as source:
                    await snapshot.put_back(jetstream, stream, source, stream["sha256"])
                await _compare(jetstream, stream)

    asyncio.run(run())
    return {"backup": manifest["backup"], "restored": sorted(kept)}


def _chosen(streams: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    if unknown := sorted(set(names) - set(streams)):
        raise RefusedError(f"the backup has no {', '.join(unknown)}; it has {', '.join(sorted(streams)) or 'nothing'}")
    return {name: stream for name, stream in sorted(streams.items()) if not names or name in names}


def _check(bucket: Bucket, stream: Mapping[str, Any]) -> None:
    digest = snapshot.Digest()
    with bucket.reading(stream["key"]) as source:
        while chunk := source.read(snapshot.CHUNK_BYTES):
            digest.add(chunk)
    if digest.sha256 != stream["sha256"]:
        raise RefusedError(f"{stream['key']} has the checksum {digest.sha256}, not {stream['sha256']}")


async def _in_the_way(jetstream: JetStream, kept: Mapping[str, Any], *, overwrite: bool) -> list[str]:
    """Return which streams are there already, all of which may go."""
    there = {name: found for name in kept if (found := await jetstream.find(f"STREAM.INFO.{name}")) is not None}
    full = [f"{name} holds {found['state']['messages']} messages" for name, found in there.items() if _holds(found)]
    if full and not overwrite:
        raise RefusedError(f"{'; '.join(full)}; they stay, unless `overwrite` says that they may go")
    return list(there)


def _holds(found: Mapping[str, Any]) -> bool:
    return bool(found["state"]["messages"])


async def _compare(jetstream: JetStream, stream: Mapping[str, Any]) -> None:
    name, before = stream["config"]["name"], stream["state"]
    now = (await jetstream.ask(f"STREAM.INFO.{name}"))["state"]
    compared = _COMPARED if before["messages"] else _COMPARED_EMPTY
    differing = [f"{key} {now.get(key)}, not {before.get(key)}" for key in compared if now.get(key) != before.get(key)]
    if differing:
        raise RefusedError(f"{name} is not what was backed up: {'; '.join(differing)}")
