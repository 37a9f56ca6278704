"""Secrets written in plain: found by the variable's name or the look of the value, and never repeated in a message."""

from __future__ import annotations

import math
import re
from collections import Counter

from catalog.catalog import Catalog
from catalog.draft import Draft
from catalog.faults import KeyPath, shown

_SECRET_NAME = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PASSPHRASE|PWD|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|SECRET_?KEY|PRIVATE_?KEY|CREDENTIALS?)$"
)
_HARMLESS = frozenset({"", "true", "false"})
# The repetitions are bounded, so that a hostile value is looked at in linear time.
_LOOKS = (
    ("an AWS access key", re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY")),
    ("PEM data", re.compile(r"-----BEGIN [A-Z ]+-----")),
    ("a JSON web token", re.compile(r"\beyJ[A-Za-z0-9_-]{8,400}\.eyJ[A-Za-z0-9_-]{8}")),
    (
        "an address with a password in it",
        re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^/\s:@]{0,200}:[^/\s@]{1,200}@", re.IGNORECASE),
    ),
    ("a token of a well-known service", re.compile(r"\b(gh[pousr]_|xox[abprs]-|sk_live_|AIza)[A-Za-z0-9_-]{16,}")),
)
_WORD = re.compile(r"[A-Za-z0-9+/=_-]{24,}")
# Random base64 of this length has more than 4 bits a character; words, names and hexadecimal digests have less.
_RANDOM_BITS = 4.1
_LONG_ENOUGH_TO_HINT = 12


def check(draft: Draft[Catalog]) -> None:
    """Note every value that looks like a secret."""
    for service in draft.model.services.values():
        path: KeyPath = ("services", service.name)
        for variable, value in service.environment.items():
            _check_value(draft, (*path, "environment", variable), value, variable)
        for index, argument in enumerate(service.command or ()):
            _check_value(draft, (*path, "command", index), argument)
        for tag, value in service.tags.items():
            _check_value(draft, (*path, "tags", tag), value)


def _check_value(draft: Draft[Catalog], path: KeyPath, value: str, variable: str = "") -> None:
    if _SECRET_NAME.search(variable) and value.lower() not in _HARMLESS:
        what = "by its name, the variable holds a secret"
    elif looks := look_of(value):
        what = f"looks like {looks}"
    else:
        return
    draft.report(
        path, f"{what}, and it is written in plain: {masked(value)}; put the variable under `secrets:` instead"
    )


def look_of(value: str) -> str | None:
    """Return what kind of secret a value looks like; none where it looks like none."""
    for what, pattern in _LOOKS:
        if pattern.search(value):
            return what
    return "a random key" if any(_is_random(word) for word in _WORD.findall(value)) else None


def masked(value: str) -> str:
    """Return enough of a secret to find it by, and no more."""
    hint = value[:2] if len(value) >= _LONG_ENOUGH_TO_HINT and value[:2].isalnum() else ""
    return f"{shown(f'{hint}****')} ({len(value)} character{'' if len(value) == 1 else 's'})"


def _is_random(word: str) -> bool:
    kinds = (str.islower, str.isupper, str.isdigit)
    if not all(any(kind(character) for character in word) for kind in kinds):
        return False
    bits = -sum(count / len(word) * math.log2(count / len(word)) for count in Counter(word).values())
    return bits > _RANDOM_BITS
