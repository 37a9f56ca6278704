"""When a certificate is renewed: with a third of its life left, each identity a little earlier by a share of its own."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from tls.profiles import JITTER_FRACTION, RENEWAL_FRACTION

_SHARES = 1 << 32


def renewal_moment(identity: str, not_before: datetime, not_after: datetime) -> datetime:
    """Return when to renew.

    The share follows from the identity alone, so every issuer and every run comes to the same moment.
    """
    life = not_after - not_before
    share = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:4])
    jitter = life / JITTER_FRACTION * (share / _SHARES)
    return not_after - life / RENEWAL_FRACTION - jitter


def rollover_moment(not_before: datetime, not_after: datetime, leaf_life: timedelta) -> datetime:
    """Return when an authority should be replaced: with a third left, and never later than two lives of a leaf before its end."""
    return not_after - max((not_after - not_before) / RENEWAL_FRACTION, 2 * leaf_life)
