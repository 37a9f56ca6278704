from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Clock, a_request, an_issuer, umask
from tls import DirectoryStore, InputError, StoreError, Write, audit, bring_about
from tls.store import write


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def test_what_is_written_is_read(store: DirectoryStore) -> None:
    stored = write(store, "a/b/c.pem", b"one")
    assert store.read("a/b/c.pem") == stored
    assert store.read("a/none.pem") is None
    assert store.read("a/b/c.pem/deeper") is None
    assert store.keys("a/") == ["a/b/c.pem"]
    assert store.keys("a/b/c") == ["a/b/c.pem"]
    assert store.keys("") == ["a/b/c.pem"]


def test_a_write_replaces_only_what_it_says(store: DirectoryStore) -> None:
    first = write(store, "k", b"one")
    assert store.write_all([Write("k", b"two")]) == [None]
    assert store.write_all([Write("k", b"two", "wrong")]) == [None]
    assert store.write_all([Write("none", b"two", first.etag)]) == [None]
    (second,) = store.write_all([Write("k", b"two", first.etag)])
    assert second is not None
    assert store.read("k") == second
    assert store.write_all([Write("k", b"three", first.etag)]) == [None]


def test_one_lost_write_does_not_hinder_the_others(store: DirectoryStore) -> None:
    write(store, "b", b"theirs")
    results = store.write_all([Write("a", b"ours"), Write("b", b"ours"), Write("c", b"ours")])
    assert [result is None for result in results] == [False, True, False]
    assert store.read("b").data == b"theirs"  # type: ignore[union-attr]


def test_a_delete_removes_only_what_it_says(store: DirectoryStore) -> None:
    assert not store.delete("k", "x")
    stored = write(store, "k", b"one")
    assert not store.delete("k", "wrong")
    assert store.delete("k", stored.etag)
    assert store.read("k") is None


def test_a_purge_takes_empty_folders_along(store: DirectoryStore, tmp_path: Path) -> None:
    write(store, "a/b/c", b"")
    write(store, "a/d", b"")
    store.purge(["a/b/c", "a/none"])
    assert not (tmp_path / "store/a/b").exists()
    assert (tmp_path / "store/a/d").exists()
    store.purge(["a/d"])
    assert not (tmp_path / "store/a").exists()


@pytest.mark.parametrize("key", ["../out", "/etc/passwd", "a/../../out", "a//b", "./a"])
def test_a_key_never_leads_out_of_the_store(store: DirectoryStore, key: str) -> None:
    with pytest.raises(StoreError, match="is no key of a store"):
        store.read(key)
    with pytest.raises(StoreError, match="is no key of a store"):
        write(store, key, b"")


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
def test_files_are_private_from_their_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int) -> None:
    """Each file is looked at right after it was created, before anything is in it, and once more at the end."""
    seen: list[tuple[str, int]] = []
    real_open = os.open

    def watched_open(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        descriptor = real_open(path, flags, mode, **options)
        if flags & os.O_CREAT:
            seen.append((str(path), stat.S_IMODE(os.fstat(descriptor).st_mode)))
        return descriptor

    monkeypatch.setattr(os, "open", watched_open)
    root = tmp_path / "store"
    with umask(mask):
        bring_about(an_issuer(DirectoryStore(root), Clock()), a_request())
    assert len([path for path, _ in seen if path.endswith(".new")]) > 20
    assert {mode & ~0o600 for _, mode in seen} == {0}
    for path in root.rglob("*"):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
    assert audit(DirectoryStore(root), a_request(), Clock()()) == []


def test_a_parent_that_anybody_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(InputError, match="has the mode 0777"):
        write(DirectoryStore(tmp_path / "open/store"), "k", b"")
    assert not list((tmp_path / "open").rglob("k"))
    (tmp_path / "open").chmod(0o1777)  # as /tmp is: nobody can take away what is another's
    write(DirectoryStore(tmp_path / "open/store"), "k", b"")


def test_a_folder_of_keys_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store/client").mkdir(parents=True)
    (tmp_path / "store/client").chmod(0o755)
    with pytest.raises(InputError, match="keys are kept below it; `chmod 700` it"):
        write(DirectoryStore(tmp_path / "store"), "client/orders/key.pem", b"")


def test_a_key_that_others_may_have_read_is_refused(store: DirectoryStore, tmp_path: Path) -> None:
    write(store, "k", b"")
    (tmp_path / "store/k").chmod(0o640)
    with pytest.raises(StoreError, match="has the mode 0640, so others may have read it"):
        store.read("k")


def test_a_link_is_not_followed(store: DirectoryStore, tmp_path: Path) -> None:
    write(store, "k", b"")
    (tmp_path / "store/l").symlink_to(tmp_path / "store/k")
    with pytest.raises(StoreError):
        store.read("l")


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write(store, "k", b"one")
    etag = store.read("k").etag  # type: ignore[union-attr]

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if call == "write":
            patch.setattr("tls.directory_store.write_new_private_file", full)
        else:
            patch.setattr(os, call, full)
        with pytest.raises(StoreError, match="No space left on device") as error:
            store.write_all([Write("k", b"two-is-secret", etag), Write("n", b"new")])
    assert "two-is-secret" not in str(error.value)
    assert store.read("k").data == b"one"  # type: ignore[union-attr]
    assert not list((tmp_path / "store/.staging").glob("*.new"))
    write(store, "n", b"new")


def test_what_a_crash_left_in_staging_is_cleared_by_the_next_writer(store: DirectoryStore, tmp_path: Path) -> None:
    write(store, "k", b"")
    leftover = tmp_path / "store/.staging/1-dead.new"
    leftover.touch(mode=0o600)
    write(store, "l", b"")
    assert not leftover.exists()
    assert store.keys("") == ["k", "l"]


def test_of_many_writers_of_one_key_exactly_one_wins_each_round(store: DirectoryStore) -> None:
    etag = write(store, "k", b"0").etag
    barrier = threading.Barrier(8)
    results: list[object] = []

    def contend(number: int) -> None:
        barrier.wait()
        results.extend(store.write_all([Write("k", str(number).encode(), etag)]))

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [result for result in results if result is not None]
    assert winners == [store.read("k")]


def test_what_is_written_is_on_the_disk_before_it_can_be_seen_and_so_are_its_folders_in_the_end(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power failure could leave a pointer to a file that is empty."""
    synced: list[int] = []
    seen: list[str] = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        real_sync(descriptor)

    def replace(source: Path, target: Path) -> None:
        assert source.stat().st_ino in synced, target
        seen.append(target.name)
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", replace)
    store.write_all([Write("a/b/c.pem", b"one"), Write("a/d.pem", b"two")])

    assert seen == ["c.pem", "d.pem"]
    folders = [tmp_path / "store", tmp_path / "store/a", tmp_path / "store/a/b"]
    assert {folder.stat().st_ino for folder in folders} <= set(synced[-3:])


def test_a_file_takes_its_place_under_a_lock_that_keeps_other_processes_out(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its condition is looked at under the same one, so nobody writes in between."""
    real_replace = os.replace
    was_locked: list[bool] = []

    def replace(source: Path, target: Path) -> None:
        with (tmp_path / "store/.staging/swap.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                was_locked.append(True)
        real_replace(source, target)

    monkeypatch.setattr(os, "replace", replace)
    write(store, "k", b"one")

    assert was_locked == [True]
