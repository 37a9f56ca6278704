"""Keys of programs: long random words, of which only hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field

_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ID = re.compile(r"[!-~]{1,128}", re.ASCII)
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key."""

    id: str
    digest: bytes
    """SHA-256 of it: a key is random and long, so that nothing slower is needed."""
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """All keys."""

    keys: tuple[ApiKey, ...] = field(default=(), repr=False)

    @classmethod
    def from_json(cls, text: str) -> ApiKeys:
        """Read the value of `GATEWAY_API_KEYS`.

        Raises:
            ValueError: It is no list of hashed keys; the message holds nothing of it.
        """
        try:
            keys = tuple(
                ApiKey(_id(entry["id"]), _digest(entry["sha256"]), frozenset(map(str, _list(entry["roles"]))))
                for entry in _list(json.loads(text))
            )
        except (ValueError, KeyError, TypeError):
            # Chained to nothing and told without values: whoever put a key here in place of its hash must not find it in a log.
            raise ValueError(
                'it is a list such as [{"id": "tools", "sha256": "<64 hexadecimal digits>", "roles": ["operator"]}]; '
                "`python -m gateway.api_keys` makes a key and its entry"
            ) from None
        if len({key.id for key in keys}) != len(keys):
            raise ValueError("two keys have the same id")
        return cls(keys)

    def find(self, text: str) -> ApiKey | None:
        """Return the key; which one it is cannot be told from the time that this takes."""
        digest = hashlib.sha256(text[:_LONGEST].encode("utf-8", "replace")).digest()
        found = None
        for key in self.keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found if len(text) <= _LONGEST else None


def _id(text: object) -> str:
    if not isinstance(text, str) or not _ID.fullmatch(text):  # it stands in a header
        raise ValueError("no identifier")
    return text


def _digest(text: object) -> bytes:
    if not isinstance(text, str) or not _HASH.fullmatch(text):
        raise ValueError("no hash")
    return bytes.fromhex(text)


def _list(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def main() -> None:
    """Make a key: it is printed once, and its entry beside it."""
    import secrets  # noqa: PLC0415  # the gateway itself makes none
    import sys  # noqa: PLC0415

    key = secrets.token_urlsafe(32)
    entry = {"id": "NAME", "sha256": hashlib.sha256(key.encode()).hexdigest(), "roles": ["ROLE"]}
    sys.stderr.write("the key, for its holder alone; it cannot be shown again:\n")
    sys.stdout.write(f"{key}\n")
    sys.stderr.write(f"its entry in GATEWAY_API_KEYS:\n{json.dumps(entry)}\n")


if __name__ == "__main__":
    main()
