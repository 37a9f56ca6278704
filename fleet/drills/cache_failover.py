"""Kill the primary of the cache: its replica takes over, and services answer all the time, since the truth is in their buckets."""

from __future__ import annotations

from typing import Any

from catalog import names
from fleet.drills.field import Field
from fleet.drills.frame import Drill
from fleet.errors import InputError

_FAILOVER_SECONDS = 900.0
_FIRST_SHARD = "0001"


async def run(field: Field) -> None:
    """Break and watch.

    Raises:
        InputError: No cache runs.
    """
    service = field.a_service(cache=True)
    field.target = names.cluster(field.scope.name)
    before = await _primary(field)
    if field.is_local:
        await field.ask("kill", name="cache")
    else:
        await field.call(
            field.scope.account.elasticache.test_failover,
            ReplicationGroupId=names.cluster(field.scope.name), NodeGroupId=_FIRST_SHARD,
        )  # fmt: skip

    async def has_moved() -> bool:
        return await _primary(field) not in {before, ""}

    await field.expect_within("the replica becomes the primary", has_moved, _FAILOVER_SECONDS)
    if field.load is None:
        field.notes.not_seen(f"{service.name} answers all the time", "nobody here reaches NATS")
        return
    steady = await field.load.more()
    field.notes.expect(f"{service.name} answers again", "it does" if steady else "it does not", good=steady)
    failed = {
        subject: field.load.failures[subject].total()
        for subject in field.load.failures
        if subject in service.nats.serves
    }
    field.notes.expect(
        "no request failed: without the cache a service reads its bucket",
        f"{sum(failed.values())} failed", good=not sum(failed.values()),
    )  # fmt: skip


async def _primary(field: Field) -> str:
    """Return the node that is the primary now.

    Raises:
        InputError: No cache runs.
    """
    if field.is_local:
        cache = (await field.ask("status")).get("cache", {"runs": False, "why": "the plane has none"})
        if not cache["runs"]:
            raise InputError(f"no cache runs here: {cache['why']}")
        return next((str(row["name"]) for row in cache["rows"] if str(row["detail"]).startswith("primary")), "")
    found: Any = await field.call(
        field.scope.account.elasticache.describe_replication_groups, ReplicationGroupId=names.cluster(field.scope.name)
    )
    shards = found["ReplicationGroups"][0].get("NodeGroups", [])
    members = [member for shard in shards[:1] for member in shard["NodeGroupMembers"]]
    return next((str(one["CacheClusterId"]) for one in members if one.get("CurrentRole") == "primary"), "")


DRILL = Drill(
    name="cache-failover",
    summary="Kill the primary of the cache; its replica takes over, and services answer from their buckets.",
    run=run,
    in_aws=True,
)
