"""The log of all that was issued: one object a run, written before anything is published, and never again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509

from tls.certificates import summarize
from tls.errors import DamageError
from tls.sources import Sources
from tls.store import LOG_PREFIX, Store, write


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that is to be logged."""

    certificate: x509.Certificate
    authority: str
    """The id of the authority that issued it."""
    place: str
    """What it was issued for: the prefix of a leaf, or the authority."""
    reason: str


def append(store: Store, issued: Iterable[Issued], *, requester: str, sources: Sources) -> str:
    """Log what a run issued; return the key of the log."""
    now = sources.now()
    lines = [
        json.dumps(
            {
                "time": now.isoformat(),
                "requester": requester,
                "place": entry.place,
                "reason": entry.reason,
                "authority": entry.authority,
                **summarize(entry.certificate).to_plain(),
            }
        )
        for entry in issued
    ]
    key = f"{LOG_PREFIX}{now:%Y%m%dT%H%M%SZ}-{sources.token()}.jsonl"
    write(store, key, "".join(f"{line}\n" for line in lines).encode())
    return key


def issuers(store: Store) -> dict[str, str]:
    """Return which authority issued each certificate ever logged, by the certificate's fingerprint."""
    found: dict[str, str] = {}
    keys = store.keys(LOG_PREFIX)
    for key, stored in zip(keys, store.read_all([(key, None) for key in keys]), strict=True):
        if stored is None:
            raise DamageError(f"{store.address}: {key} has gone while it was read; the log is never shortened")
        try:
            entries = [json.loads(line) for line in stored.data.splitlines()]
            found |= {str(entry["fingerprint"]): str(entry["authority"]) for entry in entries}
        except (ValueError, KeyError, TypeError) as error:
            raise DamageError(f"{store.address}: {key} is no log that can be read") from error
    return found
