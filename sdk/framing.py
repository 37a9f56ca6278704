"""The text of a message with headers, as NATS reads it, and what may not be in it.

nats-py checks subject, inbox and every header with regular expressions at each message. Here a subject is looked at once, an inbox of
ours never, and the headers that every call has are made of digits only, which keeps a request as cheap as one without headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sdk.errors import InvalidRequestError, Violation

_SUBJECT = re.compile(r"[^\s.*>\x00-\x1f\x7f]+(?:\.[^\s.*>\x00-\x1f\x7f]+)*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_BREAKS = str.maketrans("\r\n", "  ")
_MOST_SUBJECTS = 4096  # they may be made of data
_known: set[str] = set()


def check_subject(subject: str) -> None:
    """See that a message can be sent to a subject.

    Raises:
        InvalidRequestError: It cannot.
    """
    if subject in _known:
        return
    if not _SUBJECT.fullmatch(subject):
        why = f"{subject!r} is no subject to send to; it is words with dots between them, without wildcards and blanks"
        raise InvalidRequestError(violations=[Violation("subject", why)])
    if len(_known) >= _MOST_SUBJECTS:
        _known.clear()
    _known.add(subject)


def header_lines(headers: Mapping[str, str] | None) -> str:
    """Return headers as lines; what would break a line is a blank there.

    Raises:
        InvalidRequestError: A name is none.
    """
    if not headers:
        return ""
    lines = []
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise InvalidRequestError(violations=[Violation("headers", f"{name!r} is no name of a header")])
        # nats-py names its own by members of an enumeration, whose text in an f-string is another one.
        lines.append(str.__str__(name) + ": " + value.strip().translate(_BREAKS) + "\r\n")
    return "".join(lines)


def framed(subject: str, reply: str, lines: str, payload: bytes) -> bytes:
    """Return a message as it is sent."""
    if not lines:
        return f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n"
    head = f"NATS/1.0\r\n{lines}\r\n".encode()
    return f"HPUB {subject} {reply} {len(head)} {len(head) + len(payload)}\r\n".encode() + head + payload + b"\r\n"
