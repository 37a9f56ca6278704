"""Backups of everything that JetStream keeps, in the cluster's bucket.

    backups/TIMESTAMP/STREAM.tar.s2    a snapshot: messages and consumers
    backups/TIMESTAMP/manifest.json    each stream's configuration, state, size and checksum
    backups/TIMESTAMP/COMPLETE         written last, with the manifest's checksum: without it, it is none
    backups/latest.json                the last complete one

A key-value bucket is the stream KV_NAME.
"""  # fmt: skip

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from nats_platform.node import snapshot
from nats_platform.node.aws import Aws, Bucket
from nats_platform.node.certificates import provisioner_context
from nats_platform.node.jetstream import JetStream, connected, patiently
from nats_platform.node.settings import BACKUPS, LATEST_BACKUP, Settings

MANIFEST, COMPLETE = "manifest.json", "COMPLETE"
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(timezone.utc)


def backup(settings: Settings, *, now: Clock = _now) -> dict[str, Any]:
    """Back up every stream; return how much there was.

    Raises:
        RefusedError: One could not be; then nothing says that this backup is complete, and the last one stays the last.
    """
    context = provisioner_context(settings)

    async def run() -> dict[str, Any]:
        async with connected(settings, context) as jetstream:
            return await _take_all(settings, jetstream, f"{now():%Y%m%dT%H%M%SZ}")

    streams = asyncio.run(run())
    bucket = _bucket(settings)
    name = streams.pop("backup")
    manifest = {"backup": name, "environment": settings.environment, "node": settings.node, "streams": streams}
    data = json.dumps(manifest, indent=1).encode()
    bucket.write(f"{BACKUPS}{name}/{MANIFEST}", data)
    marker = {"backup": name, "completed_at": f"{now():%Y-%m-%dT%H:%M:%SZ}", "manifest_sha256": _sha256(data)}
    bucket.write(f"{BACKUPS}{name}/{COMPLETE}", json.dumps(marker).encode())
    bucket.write(LATEST_BACKUP, json.dumps(marker).encode())
    return {"backup": name, "streams": len(streams), "bytes": sum(each["bytes"] for each in streams.values())}


async def _take_all(settings: Settings, jetstream: JetStream, name: str) -> dict[str, Any]:
    taken: dict[str, Any] = {"backup": name}
    kept_bytes = {each["config"]["name"]: each["state"]["bytes"] for each in await patiently(jetstream.streams)}
    for stream, size_bytes in sorted(kept_bytes.items()):
        key = f"{BACKUPS}{name}/{stream}.tar.s2"
        with _bucket(settings).writing(key, expected_bytes=size_bytes) as target:
            kept, digest = await snapshot.take(jetstream, stream, target)
        taken[stream] = {**kept, "key": key, "bytes": digest.size_bytes, "sha256": digest.sha256}
    return taken


def read_manifest(settings: Settings, name: str) -> dict[str, Any]:
    """Return the manifest of a complete backup; `latest` is the last one.

    Raises:
        RefusedError: There is none, or it is not complete, or damaged.
    """
    bucket = _bucket(settings)
    marker = json.loads(bucket.read(LATEST_BACKUP if name == "latest" else f"{BACKUPS}{name}/{COMPLETE}"))
    key = f"{BACKUPS}{marker['backup']}/{MANIFEST}"
    manifest: dict[str, Any] = json.loads(bucket.read(key, sha256=marker["manifest_sha256"]))
    return manifest


def _bucket(settings: Settings) -> Bucket:
    return Bucket(settings.bucket, Aws(settings.region))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
