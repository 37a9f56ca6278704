"""The certificates of this machine, found by itself: what the pointers in the bucket say now, delivered by the delivery's own code."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nats_platform.node.aws import Aws, Bucket
from nats_platform.node.deliver_certificates import File, RefusedError, Release, deliver, remove
from nats_platform.node.settings import PROVISIONER, Settings
from nats_platform.node.turn import turn

_BUNDLES = ("server-ca.pem", "client-ca.pem", "route-ca.pem")
_AUTHORITY = "ca/certificates/"


def deliver_current(settings: Settings) -> str:
    """Take up what the bucket holds now; say how that went.

    Raises:
        RefusedError: It is refused; what held before holds again.
    """
    machine = settings.machine
    machine.tls.mkdir(mode=0o755, parents=True, exist_ok=True)
    with turn(machine):
        return deliver(machine, current_release(settings))


def current_release(settings: Settings) -> Release:
    """Return what the bucket's pointers name for this node.

    Raises:
        RefusedError: There is none, or it is damaged.
    """
    files = {name: file for name, file in _files(settings, _AUTHORITY).items() if name in _BUNDLES}
    for profile in ("server", "route"):
        leaf = _files(settings, f"{profile}/{settings.node}/")
        files.update({f"{profile}-{name}": file for name, file in leaf.items()})
    return Release(settings.node, files)


def provisioner_context(settings: Settings) -> ssl.SSLContext:
    """Return what the provisioner connects with; its key is on no disk, and gone when this returns.

    Raises:
        RefusedError: The bucket has no certificate for it.
    """
    bucket = _certificates(settings)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with _in_memory(settings) as folder:
        own = _files(settings, f"client/{PROVISIONER}/")
        wanted = {**own, "server-ca.pem": _files(settings, _AUTHORITY)["server-ca.pem"]}
        for name, file in wanted.items():
            bucket.fetch(file.key, folder / name, sha256=file.sha256, version_id=file.version_id)
        context.load_cert_chain(folder / "chain.pem", folder / "key.pem", password="")
        context.load_verify_locations(folder / "server-ca.pem")
    return context


def _files(settings: Settings, prefix: str) -> dict[str, File]:
    """Return the files that a pointer names."""
    pointer = _pointer(settings, f"{prefix}current.json")
    try:
        version = pointer["version"]
        return {
            name: File(f"{prefix}{version}/{name}", file["version_id"], str(file["sha256"]))
            for name, file in pointer["files"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise RefusedError(f"{prefix}current.json is no pointer: {type(error).__name__}: {error}") from error


def _pointer(settings: Settings, key: str) -> Any:
    return json.loads(_certificates(settings).read(key))


def _certificates(settings: Settings) -> Bucket:
    return Bucket(settings.certificates_bucket, Aws(settings.region))


@contextlib.contextmanager
def _in_memory(settings: Settings) -> Iterator[Path]:
    """Have a folder that no disk holds and only root can read; what a killed command left there goes first."""
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in settings.state.glob("identity-*"):
        if not Path(f"/proc/{left.name.split('-')[1]}").exists():
            remove(left)
    with tempfile.TemporaryDirectory(dir=settings.state, prefix=f"identity-{os.getpid()}-") as folder:
        yield Path(folder)
