"""The function that tries a password where the cache is: in the network, with the security group of the cache's clients.

It may do nothing else: it has no permission in AWS, and it forgets what it was told.

Environment: CACHE_ENDPOINT.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_SECONDS = 5


def handler(event: Mapping[str, str], context: object) -> dict[str, Any]:
    """Tell whether the cache opens to a user, over TLS and to the end of a command.

    Args:
        event: `username` and `password`; without them, whether it answers is asked by a stranger, whom it is to refuse.
        context: Lambda's, of no use here.

    Raises:
        redis.RedisError: The cache could not be asked.
    """
    del context
    host, _, port = os.environ["CACHE_ENDPOINT"].rpartition(":")
    client = redis.Redis(
        host=host,
        port=int(port),
        username=event.get("username"),
        password=event.get("password"),
        ssl=True,
        ssl_check_hostname=True,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),  # whoever asked asks again
    )
    with client:
        try:
            client.ping()
        except redis.AuthenticationError as error:
            return {"opened": False, "reason": str(error)}
    return {"opened": True, "reason": ""}
