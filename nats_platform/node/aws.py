"""AWS, by its command line, which is all that the machine image has of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nats_platform.node.deliver_certificates import FETCH_SECONDS, RefusedError, checksum, last_line

STREAM_SECONDS = 3600
_NOT_THERE = ("NoSuchKey", "(404)")


@dataclass(frozen=True)
class Aws:
    """The command line in one region."""

    region: str

    def run(self, *words: str, seconds: float = FETCH_SECONDS) -> str:
        """Run a command; return what it printed.

        Raises:
            RefusedError: It failed.
        """
        done = subprocess.run(
            ["aws", *words, "--region", self.region], capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode != 0:
            raise RefusedError(f"aws {' '.join(words[:2])}: {last_line(done.stderr)}")
        return done.stdout

    def put_events(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Write events, each a time in milliseconds and a text, to a log; the stream is made where it is not there.

        Raises:
            RefusedError: They were not taken.
        """
        where = [f"--log-group-name={group}", f"--log-stream-name={stream}"]
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as file:  # too long for a command line
            json.dump([{"timestamp": time, "message": text} for time, text in events], file)
            file.flush()
            put = ["logs", "put-log-events", *where, f"--log-events=file://{file.name}"]
            try:
                self.run(*put)
            except RefusedError as error:
                if "ResourceNotFoundException" not in str(error):
                    raise
                self.run("logs", "create-log-stream", *where)
                self.run(*put)


@dataclass(frozen=True)
class Bucket:
    """A bucket of S3."""

    name: str
    aws: Aws

    def fetch(self, key: str, path: Path, *, sha256: str | None = None, version_id: str | None = None) -> None:
        """Fetch an object into a file, which only its owner can read.

        Raises:
            RefusedError: It is not there, or has another checksum.
        """
        version = [f"--version-id={version_id}"] if version_id else []
        path.touch(mode=0o600)
        try:
            self.aws.run("s3api", "get-object", "--bucket", self.name, f"--key={key}", *version, str(path), seconds=120)
        except RefusedError as error:
            raise RefusedError(f"{key} cannot be fetched from {self.name}: {error}") from error
        if sha256 is not None and (found := checksum(path)) != sha256:
            raise RefusedError(f"{key} has the checksum {found}, not {sha256}")

    def read(self, key: str, *, sha256: str | None = None, version_id: str | None = None) -> bytes:
        """Return an object.

        Raises:
            RefusedError: It is not there, or has another checksum.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "object"
            self.fetch(key, path, sha256=sha256, version_id=version_id)
            return path.read_bytes()

    def find(self, key: str) -> bytes | None:
        """Return an object; None where it is not there."""
        try:
            return self.read(key)
        except RefusedError as error:
            if any(told in str(error) for told in _NOT_THERE):
                return None
            raise

    def write(self, key: str, data: bytes) -> None:
        """Write an object."""
        with self.writing(key) as stream:
            stream.write(data)

    @contextlib.contextmanager
    def writing(self, key: str, *, expected_bytes: int = 0) -> Iterator[IO[bytes]]:
        """Write an object piece by piece; it appears when the block ends, and not at all when the block fails.

        Args:
            key: Its name.
            expected_bytes: How large it may become; S3 takes 10,000 parts, so those of a large one must be larger.

        Raises:
            RefusedError: It was not taken.
        """
        size = [f"--expected-size={expected_bytes}"] if expected_bytes else []
        with self._copying(*size, "-", f"s3://{self.name}/{key}", stdin=subprocess.PIPE) as child:
            assert child.stdin is not None  # noqa: S101 - asked for above
            with contextlib.suppress(BrokenPipeError):  # why it ended is told below
                yield child.stdin
                child.stdin.close()

    @contextlib.contextmanager
    def reading(self, key: str) -> Iterator[IO[bytes]]:
        """Read an object piece by piece.

        Raises:
            RefusedError: It could not be read to its end.
        """
        with self._copying(f"s3://{self.name}/{key}", "-", stdout=subprocess.PIPE) as child:
            assert child.stdout is not None  # noqa: S101 - asked for above
            yield child.stdout

    @contextlib.contextmanager
    def _copying(
        self, *words: str, stdin: int | None = None, stdout: int | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        command = ["aws", "s3", "cp", "--only-show-errors", "--region", self.aws.region, *words]
        with tempfile.TemporaryFile() as errors:
            child = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=errors)
            try:
                yield child
                code = child.wait(STREAM_SECONDS)
            except BaseException:
                child.kill()  # before the pipe is closed, whose end would complete the object
                raise
            finally:
                child.wait()
                for end in (child.stdin, child.stdout):
                    if end is not None:
                        with contextlib.suppress(BrokenPipeError):
                            end.close()
            if code != 0:
                errors.seek(0)
                raise RefusedError(
                    f"{' '.join(command[:3])} {' '.join(words)}: {last_line(errors.read().decode(errors='replace'))}"
                )
