"""What both the supervisor and those who look for it must know."""

from __future__ import annotations

RECORD = "plane.json"
"""File in the plane's folder that tells where its supervisor is."""

MINUTE_SECONDS = 60.0
"""How long a minute of metrics and alarms takes, unless a plane is told otherwise."""
