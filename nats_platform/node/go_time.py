"""Times as Go writes them: nanoseconds, which Python 3.9 does not read."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_FRACTION = re.compile(r"\.\d+")


def parse(text: str) -> datetime:
    """Return a time; what is finer than a microsecond is cut off."""
    fraction = _FRACTION.search(text)
    whole = datetime.fromisoformat(_FRACTION.sub("", text).replace("Z", "+00:00")).astimezone(timezone.utc)
    return whole.replace(microsecond=int(fraction[0][1:7].ljust(6, "0"))) if fraction else whole
