"""Several issuers at the same time on the same store, each a thread with nothing in common but the store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from tests.certificates import Clock, MemoryStore, a_request, an_issuer
from tests.fake_s3 import FakeS3
from tls import DirectoryStore, Report, S3Store, Store, audit, bring_about, pointers
from tls.issue_log import issuers

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REQUEST = a_request()
ISSUERS = 3


def memory(_: Path) -> Callable[[], Store]:
    store = MemoryStore()
    return lambda: store


def directory(folder: Path) -> Callable[[], Store]:
    return lambda: DirectoryStore(folder / "store")


def bucket(_: Path) -> Callable[[], Store]:
    fake = FakeS3()
    return lambda: S3Store("acme-test-certificates", cast("S3Client", fake))


@pytest.mark.parametrize("opened", [memory, directory, bucket])
@pytest.mark.parametrize("forced", [False, True], ids=["first issue", "renewal"])
def test_issuers_at_the_same_time_leave_one_whole_environment(
    opened: Callable[[Path], Callable[[], Store]], tmp_path: Path, *, forced: bool
) -> None:
    open_store, clock = opened(tmp_path), Clock()
    if forced:
        bring_about(an_issuer(open_store(), clock), REQUEST)
        clock.advance(days=25)
    barrier = threading.Barrier(ISSUERS)
    reports: list[Report] = []

    def issue() -> None:
        issuer = an_issuer(open_store(), clock)
        barrier.wait()
        reports.append(bring_about(issuer, REQUEST))

    threads = [threading.Thread(target=issue) for _ in range(ISSUERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.exit_code for report in reports] == [0] * ISSUERS
    store = open_store()
    assert audit(store, REQUEST, clock()) == []
    current = pointers(store)
    assert {report.authority for report in reports} == {pointer.authority for pointer in current.values()}
    logged = issuers(store)
    assert all(pointer.certificate.fingerprint in logged for pointer in current.values())
    assert not any(report.issued for report in [bring_about(an_issuer(store, clock), REQUEST)])
