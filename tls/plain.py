"""Records as JSON: written the same every time, and read with every surprise told as damage."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tls.errors import DamageError, StoreError

FORMAT = 1
_Record = TypeVar("_Record")


def to_json(plain: Mapping[str, Any]) -> bytes:
    """Return plain data as it is stored."""
    return (json.dumps({"format": FORMAT, **plain}, indent=2) + "\n").encode()


def read_record(data: bytes, read: Callable[[Mapping[str, Any]], _Record], *, name: str) -> _Record:
    """Read a record.

    Args:
        data: What is stored.
        read: Makes the record of the plain data.
        name: What the error calls it.

    Raises:
        DamageError: It is damaged.
        StoreError: It is of a newer format, and must not be written over.
    """
    try:
        plain = json.loads(data)
        if plain["format"] > FORMAT:
            raise StoreError(f"{name} has the format {plain['format']}; this version reads up to {FORMAT}")
        return read(plain)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamageError(f"{name} is damaged: {type(error).__name__}") from error
