"""A run that ends between any two changes of a store: the next one completes it, and nothing that was valid is lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.certificates import START, Clock, Crash, MemoryStore, an_issuer, crashing
from tests.crashes import REQUEST, SCENARIOS, Scenario, grow_old, prove_completion, valid_pairs
from tests.fake_s3 import FakeS3, refusal
from tls import DirectoryStore, S3Store, Store, StoreError, audit, bring_about

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROOT = Path(__file__).parents[3]


def bucket(fake: FakeS3) -> Store:
    return S3Store("acme-test-certificates", cast("S3Client", fake))


def ending(fake: FakeS3, after: int, make: Callable[[], Exception]) -> Store:
    """Return a bucket in which nothing succeeds any more after so many changes, of several that are under way at once."""
    changes = iter(range(after))

    def before_change() -> None:
        if next(changes, None) is None:
            raise make()

    fake.before_change = before_change
    return bucket(fake)


def end_everywhere(scenario: Scenario, make: Callable[[], Exception], expected: type[Exception]) -> None:
    """End a run on a bucket before each of its changes, one after the other."""
    origin, clock = FakeS3(), Clock()
    scenario.prepare(bucket(origin), clock)
    before = valid_pairs(bucket(origin), clock)
    whole, changes = origin.copy(), []
    whole.before_change = lambda: changes.append(1)
    scenario.run(bucket(whole), clock)
    assert len(changes) > 1
    for after in range(len(changes)):
        fake = origin.copy()
        with pytest.raises(expected):
            scenario.run(ending(fake, after, make), clock)
        fake.before_change = lambda: None
        prove_completion(bucket(fake), clock, scenario, before, f"ended after {after} changes")


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_crash_between_any_two_changes_of_a_bucket_loses_nothing(name: str) -> None:
    end_everywhere(SCENARIOS[name], Crash, Crash)


@pytest.mark.parametrize("name", ["a renewal", "the end of a rollover"])
def test_a_bucket_that_refuses_from_any_moment_on_loses_nothing(name: str) -> None:
    end_everywhere(SCENARIOS[name], lambda: refusal("AccessDenied", "Access Denied"), StoreError)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_kill_between_any_two_changes_of_a_directory_loses_nothing(name: str, tmp_path: Path) -> None:
    """In a process of its own, since it forks once a change."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.crashes", name, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_is_full_from_any_moment_on_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    scenario, clock = SCENARIOS["a renewal"], Clock()
    store = DirectoryStore(tmp_path / "store")
    scenario.prepare(store, clock)
    before = valid_pairs(store, clock)
    real = getattr(os, call)
    for after in range(0, 1000, 5):
        left = iter(range(after))

        def full(*arguments: Any, left: Any = left, **options: Any) -> Any:
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            try:
                scenario.run(store, clock)
            except StoreError as error:
                assert "No space left on device" in str(error)  # noqa: PT017  # whether it is raised is what is asked
            else:
                break
        assert valid_pairs(store, clock) >= before, after
        assert not list((tmp_path / "store/.staging").glob("*.new"))
    assert after > 0
    prove_completion(store, clock, scenario, before, "once there is space again")


def test_a_renewal_that_crashes_again_and_again_comes_to_an_end() -> None:
    """Each run gets a little further than the one before, as on a machine that keeps losing power."""
    store, clock = MemoryStore(), Clock()
    grow_old(store, clock)
    now = clock()
    for after in range(0, 200, 3):
        try:
            bring_about(an_issuer(crashing(store, after), clock), REQUEST)
        except Crash:
            assert valid_pairs(store, clock) == {leaf.prefix for leaf in REQUEST.leaves}
        else:
            break
    assert audit(store, REQUEST, clock()) == []
    assert clock() == now > START
