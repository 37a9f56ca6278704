"""The code of functions and layers, unpacked once a process."""

from __future__ import annotations

import hashlib
import io
import tempfile
import threading
import zipfile
from pathlib import Path


class CodeCache:
    """Folders with unpacked archives, by what is in them; they go when the process ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def unpacked(self, archive: bytes) -> Path:
        """Return the folder that holds what is in an archive."""
        digest = hashlib.sha256(archive).hexdigest()
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="local-aws-functions-", ignore_cleanup_errors=True)
            target = Path(self._folder.name) / digest
            if not target.exists():
                fresh = target.with_suffix(".new")
                with zipfile.ZipFile(io.BytesIO(archive)) as packed:
                    packed.extractall(fresh)
                fresh.rename(target)
        return target


cache = CodeCache()
