"""Every drill there is, by its name."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.drills import (
    bad_deployment,
    cache_failover,
    expire_certificate,
    fill_disk,
    kill_node,
    kill_task,
    partition,
    pause_node,
    slow_responder,
)
from fleet.drills.frame import Drill

_ALL = (
    kill_task,
    kill_node,
    pause_node,
    partition,
    expire_certificate,
    fill_disk,
    slow_responder,
    cache_failover,
    bad_deployment,
)

DRILLS: Mapping[str, Drill] = {module.DRILL.name: module.DRILL for module in _ALL}
