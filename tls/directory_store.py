"""A store in a directory: every file 0600 from its first byte, on disk before it is seen, and switched by a rename."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tls.errors import InputError, StoreError
from tls.private_file import PRIVATE_FILE_MODE, sync_directory, write_new_private_file
from tls.store import Store, Stored, Write, sha256

_DIRECTORY_MODE = 0o700
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_STAGING = ".staging"
_WORKERS = 8  # file systems commit what several threads sync together


class DirectoryStore(Store):
    """A store in a directory of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def address(self) -> str:
        """The directory."""
        return str(self._root)

    def read(self, key: str, version_id: str | None = None) -> Stored | None:
        """Return a file, unless others than its owner may read it."""
        del version_id  # a pair is never written again, so its path alone names the version
        path = self._path(key)
        with self._told(key):
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                return None
            with os.fdopen(descriptor, "rb") as file:
                mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
                if mode & _OTHERS:
                    raise StoreError(
                        f"{path} has the mode {mode:04o}, so others may have read it; renew what is in it, or `chmod 600` it"
                    )
                data = file.read()
        return Stored(data, sha256(data))

    def read_all(self, keys: Sequence[tuple[str, str | None]]) -> list[Stored | None]:
        """Return many files."""
        return [self.read(key) for key, _ in keys]

    def write_all(self, writes: Sequence[Write]) -> list[Stored | None]:
        """Stage all files, then move each to its place where its condition holds."""
        if not writes:
            return []
        with self._told(writes[0].key):
            self._prepare()
            with self._lock("writers", fcntl.LOCK_SH), ThreadPoolExecutor(min(_WORKERS, len(writes))) as pool:
                staged = [self._root / _STAGING / f"{os.getpid()}-{os.urandom(8).hex()}.new" for _ in writes]
                try:
                    list(pool.map(write_new_private_file, staged, [write.data for write in writes]))
                    with self._lock("swap", fcntl.LOCK_EX):
                        changed = {folder for write in writes for folder in self._make_folders(write.key)}
                        results = [self._swap(write, path) for write, path in zip(writes, staged, strict=True)]
                    list(pool.map(sync_directory, changed))
                finally:
                    for path in staged:
                        path.unlink(missing_ok=True)
        return results

    def keys(self, prefix: str) -> list[str]:
        """Return the files whose path begins so."""
        root = str(self._root)
        found = (
            f"{place}/{name}"[len(root) + 1 :]
            for place, _, names in os.walk(f"{root}/{prefix.rpartition('/')[0]}".rstrip("/"))
            for name in names
        )
        return sorted(key for key in found if key.startswith(prefix) and not key.startswith("."))

    def delete(self, key: str, etag: str) -> bool:
        """Remove a file if it still is as it was."""
        if self.read(key) is None:
            return False
        with self._told(key):
            self._prepare()
            with self._lock("swap", fcntl.LOCK_EX):
                stored = self.read(key)
                if stored is None or stored.etag != etag:
                    return False
                self._path(key).unlink()
                sync_directory(self._path(key).parent)
        return True

    def purge(self, keys: Iterable[str]) -> None:
        """Remove files, and the folders that are empty then."""
        paths = [self._path(key) for key in keys]
        if not paths or not self._root.is_dir():
            return
        with self._told(str(paths[0])):
            self._prepare()
            with self._lock("swap", fcntl.LOCK_EX):
                for path in paths:
                    path.unlink(missing_ok=True)
                    sync_directory(self._remove_empty(path.parent))

    def _path(self, key: str) -> Path:
        pure = PurePosixPath(key)
        if pure.is_absolute() or ".." in pure.parts or key != str(pure):
            raise StoreError(f"{self.address}: {key!r} is no key of a store")
        return self._root / pure

    def _prepare(self) -> None:
        """Make sure that nobody else can reach what is written, and clear away what a crash left behind."""
        if not self._root.is_dir():
            self._root.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            self._root.chmod(_DIRECTORY_MODE)  # a umask may have taken even the owner's rights
        for folder in (self._root, *self._root.parents):
            mode = folder.stat().st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise InputError(
                    f"{folder} has the mode {stat.S_IMODE(mode):04o}: anybody could put a directory of their own in the place of "
                    f"{self._root}; `chmod o-w` it, or choose another place"
                )
        _make_directory(self._root / _STAGING)
        try:
            with self._lock("writers", fcntl.LOCK_EX | fcntl.LOCK_NB):
                for leftover in (self._root / _STAGING).glob("*.new"):
                    leftover.unlink(missing_ok=True)
        except BlockingIOError:
            pass  # another writer is at work, and these may be its files

    def _swap(self, write: Write, staged: Path) -> Stored | None:
        there = self.read(write.key)
        if (None if there is None else there.etag) != write.replaces:
            return None
        staged.replace(self._path(write.key))
        return Stored(write.data, sha256(write.data))

    def _remove_empty(self, folder: Path) -> Path:
        """Remove a folder and those around it while they are empty; return the first that stays."""
        while folder != self._root:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:  # it holds something else
                break
            folder = folder.parent
        return folder

    def _make_folders(self, key: str) -> list[Path]:
        """Make a file's folders, and return all that have a new entry then: the file's own, and those around a new folder."""
        path = self._path(key)
        inner = [self._root / folder for folder in reversed(path.relative_to(self._root).parents)][1:]
        return [path.parent, *(folder.parent for folder in inner if _make_directory(folder))]

    @contextmanager
    def _lock(self, name: str, kind: int) -> Iterator[None]:
        """Hold a lock between processes and threads; it ends with its holder, however that ends."""
        descriptor = os.open(
            self._root / _STAGING / f"{name}.lock",
            os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
            PRIVATE_FILE_MODE,
        )
        try:
            os.fchmod(descriptor, PRIVATE_FILE_MODE)
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self.address}: {key}: {error.strerror or error}") from error


def _make_directory(path: Path) -> bool:
    """Make a folder that nobody else can look into; tell whether it was not there.

    Raises:
        InputError: It is there, and others can.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        path.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
        path.chmod(_DIRECTORY_MODE)  # a umask may have taken even the owner's rights
        return True
    if mode & _OTHERS:
        raise InputError(f"{path} has the mode {mode:04o}, and keys are kept below it; `chmod 700` it")
    return False
