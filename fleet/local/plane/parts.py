"""What a plane runs, in the order in which the parts need each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fleet.local.plane.cache_part import CachePart
PARTS: Sequence[Callable[[Plane], Part]] = (NodesPart, CachePart, Logs, Tasks, Metrics)
