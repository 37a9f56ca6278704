"""What a plane runs, in the order in which the parts need each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fleet.local.plane.cache_part import CachePart
from fleet.local.plane.log_shipping import Logs
from fleet.local.plane.metrics_part import Metrics
from fleet.local.plane.nodes_part import NodesPart
from fleet.local.plane.plane import Part, Plane
from fleet.local.plane.tasks_part import Tasks

PARTS: Sequence[Callable[[Plane], Part]] = (NodesPart, CachePart, Logs, Tasks, Metrics)
