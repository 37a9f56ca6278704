"""What can go wrong in here.

    TlsError                  exit 1: it was looked at, and found wanting
    ├── InputError            exit 2: bad input or usage
    │   ├── RequestError      the request has faults, all of them told at once
    │   └── PassphraseError   the passphrase of the authority is missing, too short or wrong
    ├── StoreError            the store cannot be read or written
    │   ├── ConflictError     somebody else wrote in the meantime; nothing of theirs was overwritten
    │   └── DamageError       what the store holds is not what was put there
    ├── AuthorityError        the authority cannot sign what is asked for
    ├── ClockError            the clock contradicts what was issued before
    ├── VerificationError     a certificate is not what it should be, so it was not published
    └── GateError             the next phase may not begin yet

No message holds key material or a passphrase.
"""

from __future__ import annotations

from collections.abc import Sequence


class TlsError(Exception):
    """A fault that is told in one message, without a traceback."""

    exit_code = 1


class InputError(TlsError):
    """What the caller gave cannot be worked with."""

    exit_code = 2


class _ListingError(TlsError):
    """An error of several findings, all told at once."""

    def __init__(self, headline: str, findings: Sequence[str]) -> None:
        self.headline = headline
        self.findings = tuple(findings)
        super().__init__("\n".join([headline, *(f"  {finding}" for finding in self.findings)]))


class RequestError(_ListingError, InputError):
    """The request has faults."""


class PassphraseError(InputError):
    """The passphrase of the authority's keys is missing, too short or wrong."""


class StoreError(TlsError):
    """The store cannot be read or written."""


class ConflictError(StoreError):
    """Somebody else wrote in the meantime; what they wrote stands."""


class DamageError(StoreError):
    """What the store holds is not what was put there; a new certificate heals it, where waiting would not."""


class AuthorityError(TlsError):
    """The authority cannot sign what is asked for."""


class ClockError(TlsError):
    """The clock contradicts what was issued before."""


class VerificationError(_ListingError):
    """A certificate is not what it should be, so it was not published."""


class GateError(_ListingError):
    """The next phase may not begin yet; each finding is something that still stands in its way."""
