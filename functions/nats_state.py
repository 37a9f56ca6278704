"""What the bucket of the NATS cluster remembers: what the machines run on, who may connect, and what was asked for.

current.json              what a machine runs on: server, agent, and its configuration, by version and checksum
assets/SHA256             servers and agents
configuration/NODE/…      configurations; what is written once is never written again
state/cluster.json        what the last deployment asked for, and who may connect: those, and who is still in use
"""  # fmt: skip

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nats_platform.permissions import User
from nats_platform.request import ClusterRequest
from tls import S3Store, Store, StoreError
from tls.store import write

CURRENT = "current.json"
CLUSTER = "state/cluster.json"
ASSETS = "assets/"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Current:
    """What the machines run on, as the bucket has it; `etag` is None where nothing is there yet."""

    plain: Mapping[str, Any]
    etag: str | None

    @property
    def version(self) -> int:
        """How often it was changed."""
        return int(self.plain.get("version", 0))

    @property
    def configuration(self) -> Mapping[str, Mapping[str, str]]:
        """Where each node's configuration is."""
        found: Mapping[str, Mapping[str, str]] = self.plain.get("configuration", {})
        return found


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the last deployment asked for, and who may connect; in one object, so that neither changes behind the other's back."""

    request: ClusterRequest | None
    users: tuple[User, ...]
    etag: str | None


@dataclass(frozen=True)
class State:
    """The bucket; every change of what another run may change too is on condition."""

    store: Store

    def current(self) -> Current:
        """Return what the machines run on."""
        stored = self.store.read(CURRENT)
        return Current({}, None) if stored is None else Current(json.loads(stored.data), stored.etag)

    def switch(self, before: Current, wanted: Mapping[str, Any]) -> Current:
        """Say what the machines run on from now on; nothing is written where they do already.

        Raises:
            ConflictError: Somebody else did in the meantime.
        """
        if {**before.plain, "version": 0} == {**wanted, "version": 0}:
            return before
        plain = {**wanted, "version": before.version + 1}
        stored = write(self.store, CURRENT, _text(plain), replaces=before.etag)
        return Current(plain, stored.etag)

    def cluster(self) -> Cluster:
        """Return what is asked for, and who may connect."""
        stored = self.store.read(CLUSTER)
        if stored is None:
            return Cluster(None, (), None)
        plain = json.loads(stored.data)
        request = ClusterRequest.from_plain(plain["request"])
        return Cluster(request, tuple(User.from_plain(user) for user in plain["users"]), stored.etag)

    def put_cluster(self, before: Cluster, request: ClusterRequest, users: Sequence[User]) -> None:
        """Say what is asked for and who may connect from now on; nothing is written where that is so already.

        Raises:
            ConflictError: Somebody else did in the meantime.
        """
        if (request, tuple(users)) != (before.request, before.users):
            plain = {"request": request.to_plain(), "users": [user.to_plain() for user in users]}
            write(self.store, CLUSTER, _text(plain), replaces=before.etag)

    def put_configuration(self, node: str, text: str, before: Current) -> Mapping[str, str]:
        """Keep a configuration, and return where it is; one that holds already is not written again."""
        data = text.encode()
        sha256 = hashlib.sha256(data).hexdigest()
        if (there := before.configuration.get(node)) and there["sha256"] == sha256:
            return there
        key = f"configuration/{node}/{sha256}.conf"
        stored = self.store.read(key) or write(self.store, key, data)
        return {"key": key, "version_id": str(stored.version_id), "sha256": sha256}

    def put_asset(self, bucket: str, asset: Mapping[str, str], s3: Any) -> dict[str, str]:
        """Keep a server or an agent, so that the machines need no other bucket; return where it is.

        Raises:
            StoreError: It is not what the deployment said.
        """
        key = f"{ASSETS}{asset['sha256']}"
        if key not in self.store.keys(key):
            data = S3Store(asset["bucket"], s3).read(asset["key"])
            if data is None or hashlib.sha256(data.data).hexdigest() != asset["sha256"]:
                raise StoreError(
                    f"s3://{asset['bucket']}/{asset['key']} is not what has the checksum {asset['sha256']}"
                )
            write(self.store, key, data.data)
            _log.info("%s holds %s", self.store.address, key)
        return {"bucket": bucket, "key": key, "sha256": asset["sha256"]}


def _text(plain: Any) -> bytes:
    return json.dumps(plain, separators=(",", ":"), sort_keys=True).encode()
