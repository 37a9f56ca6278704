"""The child process of one invocation: import the handler as Lambda would, call it, write down what came of it.

Run with `python -I -S`, so that nothing of the server's own packages is seen: a package that the asset lacks is missing here too.
What AWS's Python runtime brings along (boto3 and what that needs) is let in by name. This file must import nothing of ours.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

RUNTIME_PACKAGES = {"boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3"}


class RuntimePackages:
    """Finds what AWS's runtime brings along, after everything of the asset's own."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Find a top-level package that is of the runtime; its modules are found by the package itself."""
        if path is None and name in RUNTIME_PACKAGES:
            return PathFinder.find_spec(name, [self._folder], target)
        return None


class LambdaContext:
    """The second argument of a handler."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.function_name: str = told["function_name"]
        self.function_version: str = told["function_version"]
        self.invoked_function_arn: str = told["function_arn"]
        self.memory_limit_in_mb: str = told["memory"]
        self.aws_request_id: str = told["request_id"]
        self.log_group_name: str = f"/aws/lambda/{self.function_name}"
        self.log_stream_name: str = told["log_stream"]
        self.identity = None
        self.client_context = None
        self._end = time.monotonic() + told["timeout"]

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the handler may still take."""
        return max(0, int((self._end - time.monotonic()) * 1000))


def _call(told: dict[str, Any]) -> dict[str, Any]:
    try:
        module, _, name = told["handler"].rpartition(".")
        handler = getattr(importlib.import_module(module.replace("/", ".")), name)
        return {"result": json.loads(json.dumps(handler(told["event"], LambdaContext(told))))}
    except Exception as error:  # noqa: BLE001 - whatever the handler raises is its answer
        traceback.print_exc()
        trace = traceback.format_tb(error.__traceback__)
        return {"error": {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": trace}}


def main(told_path: str, answer_path: str) -> None:
    """Carry out the invocation that one file tells, and write the answer into another."""
    with open(told_path, encoding="utf-8") as file:  # noqa: PTH123 - less to import, less to wait for
        told = json.load(file)
    sys.path[:0] = [told["root"], *told["layers"]]
    sys.meta_path.append(RuntimePackages(told["packages"]))
    os.chdir(told["root"])
    answer = _call(told)
    sys.stdout.flush()
    with open(answer_path, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(answer, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
