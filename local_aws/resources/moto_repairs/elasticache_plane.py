"""ElastiCache: the cache of the data plane lets in whom the replication groups' user groups have, from the moment of each change.

moto 5.2.5 keeps users and lets nobody in. The plane is told of the users with the answer of the call that changed them, so that
whoever proves a new password right afterwards finds it there; and again when a plane comes that was not told. It gets the checksums
of passwords, which is what its server compares. Which node leads, the plane tells.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

from moto.elasticache.models import elasticache_backends
from moto.elasticache.responses import ElastiCacheResponse

from local_aws import data_plane
from local_aws.data_plane import DataPlane, DataPlaneError
from local_aws.resources.moto_repairs.patching import around

_SECONDS = 10.0
log = logging.getLogger(__name__)
_lock = threading.Lock()
_last: dict[str, str] = {}
"""What a plane was told last, by its token."""


def users() -> list[dict[str, Any]]:
    """Return whom the caches let in."""
    found = []
    for by_region in list(elasticache_backends.values()):
        for backend in list(by_region.values()):
            groups = [group for group in backend.user_groups.values() if group.replication_groups]  # type: ignore[attr-defined]
            members = [backend.users[name] for group in groups for name in group.user_ids if name in backend.users]
            found += [
                {
                    "name": user.name,
                    "access": user.access_string,
                    "passwords": [hashlib.sha256(one.encode()).hexdigest() for one in user.passwords or []],
                }
                for user in members
            ]
    return found


def _see(plane: DataPlane) -> None:
    """Take over which node of a group leads."""
    primary = plane.told.get("cache", {}).get("primary")
    for by_region in list(elasticache_backends.values()):
        for backend in list(by_region.values()):
            for group in list(backend.replication_groups.values()):
                for shard in group.node_groups if primary is not None and group.cluster_mode != "enabled" else ():
                    for index, node in enumerate(shard["node_group_members"]):
                        node["current_role"] = "primary" if index == primary else "replica"


def _tell(plane: DataPlane) -> None:
    if not plane.told.get("cache"):
        return
    with _lock:  # or what was read before could be told last
        asked = {"users": users()}
        text = json.dumps(asked)
        if _last.get(plane.told["token"]) == text:
            return
        try:
            plane.call("cache-users", asked, _SECONDS)
        except DataPlaneError as error:
            log.warning("the cache was not told of its users, and will be with the plane's next beat: %s", error)
        else:
            _last.clear()
            _last[plane.told["token"]] = text


def apply() -> None:
    """Tell the plane with each change, and with each beat of one that was not told."""
    data_plane.on_beat += [_see, _tell]

    @around(ElastiCacheResponse, "call_action")
    def call_action(original: Callable[..., Any], response: ElastiCacheResponse) -> Any:
        answer = original(response)
        if plane := data_plane.current():
            _tell(plane)
        return answer
