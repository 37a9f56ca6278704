"""One invocation of a function: a child process with the function's code, environment and timeout."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from local_aws.errors import LocalAwsError
from local_aws.functions import entry
from local_aws.functions.code import cache

_LOG_TAIL = 4000  # characters; what an error message can carry


class FunctionNotRunnableError(LocalAwsError):
    """A function cannot be run here at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """A function as it stands, and what it is called with."""

    name: str
    arn: str
    version: str
    runtime: str
    handler: str
    archive: bytes = field(repr=False)
    layers: Sequence[bytes] = field(default=(), repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    memory_mib: int = 128
    timeout_seconds: float = 3
    region: str
    endpoint: str
    event: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an invocation.

    Args:
        payload: what the handler returned, or the error as Lambda tells it.
        failed: whether it is an error.
        log: what the handler printed.
    """

    payload: Any
    failed: bool
    log: str

    @property
    def reason(self) -> str:
        """The error and the end of the log, for a message."""
        error = self.payload.get("errorMessage", "") if self.failed and isinstance(self.payload, dict) else ""
        return f"{error}\n{self.log[-_LOG_TAIL:]}".strip()


def run(invocation: Invocation) -> Outcome:
    """Run the handler to its end, or to its timeout.

    Raises:
        FunctionNotRunnableError: the function is not one in Python, or has no code.
    """
    if not invocation.runtime.startswith("python"):
        raise FunctionNotRunnableError(
            f"{invocation.name}: runtime {invocation.runtime} is not carried, only Python is"
        )
    if not invocation.archive:
        raise FunctionNotRunnableError(f"{invocation.name}: has no code")
    root = cache.unpacked(invocation.archive)
    layers = [str(cache.unpacked(layer) / "python") for layer in invocation.layers]
    with tempfile.TemporaryDirectory(prefix="local-aws-invocation-") as folder:
        told, answer = Path(folder) / "told.json", Path(folder) / "answer.json"
        told.write_text(json.dumps(_told(invocation, root, layers)), encoding="utf-8")
        process, output, in_time = _run_child(invocation, told, answer, _environment(invocation, root, folder))
        if not in_time:
            return _broken(f"Task timed out after {invocation.timeout_seconds:.2f} seconds", output)
        if not answer.exists():
            return _broken(f"Runtime exited without an answer, with code {process.returncode}", output)
        said = json.loads(answer.read_text(encoding="utf-8"))
    failed = "error" in said
    return Outcome(said["error"] if failed else said["result"], failed, output)


def _broken(message: str, output: str) -> Outcome:
    return Outcome({"errorMessage": message, "errorType": "Sandbox.Failure"}, failed=True, log=output)


def _told(invocation: Invocation, root: Path, layers: list[str]) -> dict[str, Any]:
    return {
        "event": invocation.event,
        "handler": invocation.handler,
        "root": str(root),
        "layers": layers,
        "packages": _runtime_packages(),
        "function_name": invocation.name,
        "function_arn": invocation.arn,
        "function_version": invocation.version,
        "memory": str(invocation.memory_mib),
        "timeout": invocation.timeout_seconds,
        "request_id": str(uuid.uuid4()),
        "log_stream": f"local/[{invocation.version}]{uuid.uuid4().hex}",
    }


def _runtime_packages() -> str:
    """Return the folder that boto3 and its like are installed in."""
    spec = find_spec("boto3")
    if spec is None or spec.origin is None:
        raise FunctionNotRunnableError("boto3 is not installed beside the local AWS")
    return str(Path(spec.origin).parent.parent)


def _environment(invocation: Invocation, root: Path, home: str) -> dict[str, str]:
    """Return what the handler finds in its environment: the function's own, Lambda's, and the way to this server.

    Nothing of this process's own environment goes with it, nor any configuration that the user has for the real AWS.
    """
    return {
        **invocation.environment,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": invocation.endpoint,
        "AWS_REGION": invocation.region,
        "AWS_DEFAULT_REGION": invocation.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{invocation.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": invocation.name,
        "AWS_LAMBDA_FUNCTION_VERSION": invocation.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(invocation.memory_mib),
        "LAMBDA_TASK_ROOT": str(root),
        "_HANDLER": invocation.handler,
        "HOME": home,
        "LANG": "C.UTF-8",
        "PATH": os.defpath,
        "TMPDIR": home,
        "TZ": "UTC",
    }


def _run_child(
    invocation: Invocation, told: Path, answer: Path, environment: Mapping[str, str]
) -> tuple[subprocess.Popen[str], str, bool]:
    """Run the child in a session of its own, so that what it started goes with it."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", entry.__file__, str(told), str(answer)],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    with process:
        try:
            output, _ = process.communicate(timeout=invocation.timeout_seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            output, _ = process.communicate()
            return process, output, False
        finally:
            _kill(process)
    return process, output, True


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
