"""The part of a plane that runs the cache."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from fleet.errors import InputError
from fleet.local.plane.cache_metrics import NAMESPACE, Numbers, metric_data
from fleet.local.plane.cache_pair import CachePair, Server, users_of
from fleet.local.plane.cache_program import find_cache_program
from fleet.local.plane.cache_tls import certificate_of_cache
from fleet.local.plane.places import Places
from fleet.local.plane.plane import Plane
from fleet.local.plane.units import until_mid_minute

if TYPE_CHECKING:
    from fleet.account import Account

NAME = "cache"
_log = logging.getLogger(__name__)


class CachePart:
    """A primary and a replica with the users that ElastiCache has, whom the local AWS tells."""

    name = NAME

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._pair: CachePair | None = None
        self._wrong = "the plane was started without a cache"
        if not plane.has_cache:
            return
        try:
            program = find_cache_program()
        except InputError as error:
            self._wrong = str(error)
            return
        places = Places.of(plane.folder)
        folder = plane.folder / NAME
        certificate = certificate_of_cache(folder)
        first, second = (Server(name, places.cache[name], folder / name) for name in ("node-1", "node-2"))
        self._pair = CachePair((first, second), places.cache["endpoint"], program, certificate, plane.processes)
        # Whoever trusts the system's authorities trusts this one in their stead.
        addresses = {"CACHE_ENDPOINT": places.cache_endpoint, "SSL_CERT_FILE": str(certificate)}
        plane.addresses.update(addresses)
        plane.beat.setdefault("function_variables", {}).update(addresses)
        plane.beat[NAME] = {"endpoint": places.cache_endpoint, "primary": self._pair.primary_index}
        self._pair.on_failover = lambda primary: plane.beat[NAME].update(primary=primary)
        plane.control.register("cache-users", self._set_users)
        plane.signals[NAME] = self.signal

    async def run(self) -> None:
        """Keep the cache running."""
        if self._pair is None:
            await asyncio.Event().wait()
            return
        measuring = asyncio.create_task(self._measure(self._pair), name="measure the cache")
        try:
            await self._pair.run()
        finally:
            measuring.cancel()
            await asyncio.wait([measuring])

    def signal(self, number: int) -> None:
        """Send the primary a signal.

        Raises:
            InputError: It does not run.
        """
        process = self._pair.primary.process if self._pair else None
        if process is None or process.has_exited:
            raise InputError("the cache does not run just now")
        process.signal(number)

    def status(self) -> Any:
        """Return what runs of it."""
        if self._pair is None:
            return {"runs": False, "why": self._wrong}
        return {"runs": True, "failovers": self._pair.failovers, "rows": self._pair.rows()}

    async def _measure(self, pair: CachePair) -> None:
        """Have CloudWatch know each minute what ElastiCache would tell it of its nodes."""
        while True:
            await asyncio.sleep(until_mid_minute(time.time(), self._plane.minute_seconds))
            account = await self._plane.account()
            if account is None:
                continue
            numbers = await pair.measure()
            try:
                await asyncio.to_thread(_put, account, numbers)
            except (BotoCoreError, ClientError) as error:
                _log.warning("what was measured of the cache was not taken: %s", error)

    async def _set_users(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Take the users that ElastiCache has now: `users`, each with name, access string and checksums of passwords."""
        assert self._pair is not None  # noqa: S101 - or this would not have been registered
        await self._pair.set_users(users_of(asked["users"]))
        return {"users": len(self._pair.users)}


def _put(account: Account, numbers: Mapping[str, Numbers]) -> None:
    """Put numbers of the servers under the names of the replication group's nodes, in their order; nothing while there is no group."""
    groups = account.elasticache.describe_replication_groups()["ReplicationGroups"]
    members = [member for group in groups[:1] for member in group.get("MemberClusters", [])]
    data: Any = [
        entry
        for (_, of_one), member in zip(sorted(numbers.items()), members, strict=False)
        for entry in metric_data(member, of_one)
    ]
    if data:
        account.cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data)
