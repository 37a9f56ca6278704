"""Settings that a server takes up only when it starts: it refuses a reload that changes one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping

KEYS = (
    "lame_duck_grace_period",
    "lame_duck_duration",
    "store_dir",
    "max_memory_store",
    "max_file_store",  # more of it would be taken up, but a disk that has grown has its room only from the next boot on
    "sync_interval",
    "unique_tag",
)
_LINE = re.compile(rf"^ *({'|'.join(KEYS)}): (.*)$", re.MULTILINE)


def settings_at_start(configuration: str) -> Mapping[str, str]:
    """Return those settings of a configuration, as it is rendered: a line each."""
    return dict(_LINE.findall(configuration))


def differing(one: str, other: str) -> list[str]:
    """Return which of them are another in the other configuration."""
    before, after = settings_at_start(one), settings_at_start(other)
    return [key for key in KEYS if before.get(key) != after.get(key)]
