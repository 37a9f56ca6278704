"""Looks at the wire for the certificate authority: what each NATS node serves and trusts, and who is connected with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from functions.nats_nodes import Nodes
from nats_platform.observing import BUNDLE_OF_CLIENTS, Clients, observations
from tls import Observations, Observer, Profile, Store, leaf_prefix, observations_from_plain, pointers, require_record
from tls.certificates import fingerprint, parse_chain
from tls.pointer import CHAIN


@dataclass(frozen=True)
class SsmObserver(Observer):
    """Asks the nodes by Systems Manager, and ECS about the tasks."""

    nodes: Nodes
    store: Store
    cluster: str
    ecs: Any
    _started: dict[str, list[datetime]] = field(default_factory=dict)

    def observe(self) -> Observations:
        """Return what is served and trusted now."""
        return observations_from_plain(self.look()[0], where="what the nodes said")

    def look(self) -> tuple[dict[str, Any], list[str]]:
        """Return what is served and trusted now as plain data, and why a node is not among it."""
        machines = self.nodes.machines()
        statuses, silent = {}, []
        for node, machine in machines.items():
            outcome = self.nodes.run("status", machine)
            if outcome.succeeded:
                statuses[node] = outcome.answer
            else:
                silent.append(f"{node} did not say what it serves: {outcome.detail}")
        return observations(statuses, self._names("server"), self._clients(), datetime.now(UTC)), silent

    def _names(self, profile: str) -> list[str]:
        return [prefix.split("/")[1] for prefix in pointers(self.store) if prefix.startswith(f"{profile}/")]

    def _clients(self) -> Clients:
        record = require_record(self.store).record
        return Clients(
            self._names("client"),
            self._tasks_started,
            self._expiry,
            (record.files[BUNDLE_OF_CLIENTS].sha256, record.changed_at),
        )

    def _tasks_started(self, name: str) -> list[datetime]:
        """Return when the tasks of a client were started."""
        if name not in self._started:
            found: list[Mapping[str, Any]] = []
            pages = self.ecs.get_paginator("list_tasks").paginate(cluster=self.cluster, family=f"{self.cluster}-{name}")
            for page in pages:
                if page["taskArns"]:
                    found += self.ecs.describe_tasks(cluster=self.cluster, tasks=page["taskArns"])["tasks"]
            now = datetime.now(UTC)
            # One that is not up yet has not read anything, and is going to read what holds by then.
            self._started[name] = [task.get("startedAt", now) for task in found]
        return self._started[name]

    def _expiry(self, name: str, wanted: str) -> datetime | None:
        """Return when a client's certificate ends, the one that holds or one from before."""
        prefix = leaf_prefix(Profile.CLIENT, name)
        for key in self.store.keys(prefix):
            if key.endswith(f"/{CHAIN}") and (stored := self.store.read(key)):
                certificate = parse_chain(stored.data, name=key)[0]
                if fingerprint(certificate) == wanted:
                    return certificate.not_valid_after_utc
        return None
