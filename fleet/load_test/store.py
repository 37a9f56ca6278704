"""Where load tests lie: below `load-tests/` in the environment's NATS bucket, in AWS and in the local AWS alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from catalog import names
from fleet.account import Account
from fleet.load_test.result import Result

_MISSING = {"404", "NoSuchKey", "NoSuchBucket"}


@dataclass(frozen=True, slots=True)
class StoredResult:
    """The result of a test that was finished some time ago, as far as others need it."""

    run: str
    environment: str
    started_at: datetime
    finished_at: datetime
    catalog_digest: str
    verdict: str
    plain: Mapping[str, Any]
    """The whole of it."""

    @property
    def passed(self) -> bool:
        """Whether all objectives were met."""
        return self.verdict == "passed"


class Store:
    """The load tests of an environment."""

    def __init__(self, account: Account, environment: str) -> None:
        self._s3 = account.s3
        self.bucket = names.nats_bucket(environment, account.account_id, account.region)

    def exists(self) -> bool:
        """Tell whether there is a bucket."""
        try:
            self._s3.head_bucket(Bucket=self.bucket)
        except ClientError as error:
            if _code(error) in _MISSING:
                return False
            raise
        return True

    def read(self, key: str) -> dict[str, Any] | None:
        """Return an object of JSON; None where it is not there."""
        try:
            answer = self._s3.get_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if _code(error) in _MISSING:
                return None
            raise
        found: dict[str, Any] = json.loads(answer["Body"].read())
        return found

    def write(self, key: str, value: Mapping[str, Any]) -> datetime:
        """Write an object of JSON; return the time that it is where the bucket is."""
        data = json.dumps(value, separators=(",", ":")).encode()
        return self._put(key, data, "application/json")

    def write_page(self, key: str, page: str) -> None:
        """Write a page of HTML."""
        self._put(key, page.encode(), "text/html; charset=utf-8")

    def keep(self, result: Result) -> None:
        """Keep a result."""
        self.write(names.load_test_result(result.plan.run), result.to_plain())

    def newest(self) -> StoredResult | None:
        """Return the result of the last test that was finished; None where there is none."""
        last = ""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=names.LOAD_TEST_RESULTS)
        try:
            for page in pages:
                last = max([last, *(entry["Key"] for entry in page.get("Contents", []))])
        except ClientError as error:
            if _code(error) in _MISSING:
                return None
            raise
        plain = self.read(last) if last else None
        return None if plain is None else _stored(plain)

    def _put(self, key: str, data: bytes, content_type: str) -> datetime:
        answer = self._s3.put_object(Bucket=self.bucket, Key=key, Body=data, ContentType=content_type)
        told = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        return parsedate_to_datetime(told) if told else datetime.now(UTC)


def newest_result(account: Account, environment: str) -> StoredResult | None:
    """Return the result of an environment's last load test; None where there is none."""
    return Store(account, environment).newest()


def _stored(plain: Mapping[str, Any]) -> StoredResult:
    return StoredResult(
        run=plain["run"],
        environment=plain["environment"],
        started_at=datetime.fromisoformat(plain["started_at"]),
        finished_at=datetime.fromisoformat(plain["finished_at"]),
        catalog_digest=plain["catalog_digest"],
        verdict=plain["verdict"],
        plain=plain,
    )


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
