"""One drill at a time in an environment, whoever starts it and wherever: a lock in the bucket of the cluster.

S3 writes an object only where none is, so of two that begin at once one is refused. A drill that was killed leaves its lock behind: it
holds no longer than a drill may take, and not even that long for the machine that sees the process gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
from botocore.exceptions import ClientError

from catalog import names
from fleet.errors import InputError
from fleet.verify.scope import Scope

KEY = "drills/lock.json"
LONGEST = timedelta(hours=2)
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}


@contextlib.contextmanager
def alone(scope: Scope, drill: str) -> Iterator[None]:
    """Hold the environment's lock within the block.

    Raises:
        InputError: Another drill holds it, or the cluster has no bucket.
    """
    bucket = names.nats_bucket(scope.name, scope.account.account_id, scope.account.region)
    own = {
        "drill": drill,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "process_started": psutil.Process().create_time(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if not _take(scope, bucket, own):
        other = _holder(scope, bucket)
        if other is not None and not _is_gone(other):
            raise InputError(
                f"{other['drill']} runs in {scope.name} since {other['since']} (process {other['pid']} on {other['host']}), and two "
                f"drills at once would tell nothing\n  wait for its end; should it be gone: aws s3 rm s3://{bucket}/{KEY}"
            )
        scope.account.s3.delete_object(Bucket=bucket, Key=KEY)
        if not _take(scope, bucket, own):
            raise InputError(f"another drill has just begun in {scope.name}; wait for its end")
    try:
        yield
    finally:
        scope.account.s3.delete_object(Bucket=bucket, Key=KEY)


def _take(scope: Scope, bucket: str, own: dict[str, Any]) -> bool:
    try:
        scope.account.s3.put_object(Bucket=bucket, Key=KEY, Body=json.dumps(own).encode(), IfNoneMatch="*")
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _TAKEN:
            return False
        if code == "NoSuchBucket":
            raise InputError(f"{scope.name} is not deployed: there is no bucket {bucket}") from error
        raise
    return True


def _holder(scope: Scope, bucket: str) -> dict[str, Any] | None:
    try:
        held: dict[str, Any] = json.loads(scope.account.s3.get_object(Bucket=bucket, Key=KEY)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    return held


def _is_gone(holder: dict[str, Any]) -> bool:
    """Tell whether a drill has ended without taking its lock away."""
    if datetime.now(UTC) - datetime.fromisoformat(holder["since"]) > LONGEST:
        return True
    if holder["host"] != socket.gethostname():
        return False
    try:
        return bool(psutil.Process(holder["pid"]).create_time() != holder["process_started"])
    except psutil.NoSuchProcess:
        return True
