"""Clients of AWS's services, kept while a function stays warm: making one takes longer than most calls."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3


@cache
def client(service: str) -> Any:
    """Return the client of a service."""
    return boto3.client(service)  # type: ignore[call-overload]
