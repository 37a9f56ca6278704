"""What the engine stands on: clients, handlers, the stacks there are, and the keeping of them."""

from __future__ import annotations

import contextlib
import queue
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from local_aws.clients import Clients, StackContext
from local_aws.errors import RequestRefusedError, ResourceFailedError, TemplateError
from local_aws.gate import Gate
from local_aws.model import Output, Stack
from local_aws.resources.contract import Made, ResourceHandler

_T = TypeVar("_T")
_STEP_SECONDS = 900.0

Settled = Callable[[], bool]
"""Tells whether a resource has become what it was made to be; raises a `LocalAwsError` where it will not."""


def _nothing_to_wait_for(_resource_type: str, _made: Made) -> Settled | None:
    return None


def _apply(change: Callable[[], None]) -> None:
    change()


@dataclass
class World:
    """The surroundings of every stack operation.

    Args:
        handler_for: gives the handler of a resource type.
        commit: makes a change of state, and returns when it is on disk.
        step_seconds: how long one call of a handler may take, and a resource to settle.
        settling: says of a resource that was made or changed what to wait for before it counts as complete; nothing for most.
    """

    handler_for: Callable[[str], ResourceHandler]
    clients: Clients
    gate: Gate = field(default_factory=Gate)
    commit: Callable[[Callable[[], None]], None] = _apply
    step_seconds: float = _STEP_SECONDS
    settling: Callable[[str, Made], Settled | None] = _nothing_to_wait_for
    stacks: dict[str, Stack] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def find(self, region: str, name_or_id: str) -> Stack | None:
        """Return a stack by its name, if it stands, or by its id."""
        with self.lock:
            if name_or_id.startswith("arn:"):
                return self.stacks.get(name_or_id)
            return next((stack for stack in self.standing(region) if stack.name == name_or_id), None)

    def standing(self, region: str) -> Iterator[Stack]:
        """Return the stacks of a region that have not been deleted."""
        with self.lock:
            stacks = list(self.stacks.values())
        return (stack for stack in stacks if stack.region == region and not stack.is_gone)

    def exports(self, region: str) -> dict[str, tuple[Stack, Output]]:
        """Return what the stacks of a region export."""
        return {
            output.export: (stack, output)
            for stack in self.standing(region)
            for output in list(stack.outputs.values())
            if output.export is not None
        }

    def importers(self, region: str, export: str) -> list[str]:
        """Return the names of the stacks that use an export."""
        return sorted(stack.name for stack in self.standing(region) if export in stack.imports)

    def context(self, stack: Stack, logical_id: str) -> StackContext:
        """Return what a handler is told."""
        return StackContext.of(stack, logical_id, stack.settings.tags if stack.settings else {}, self.clients)

    def ssm_value(self, region: str, name: str) -> str:
        """Read a parameter of SSM, for a parameter of a template."""
        try:
            return str(self.clients.client("ssm", region).get_parameter(Name=name)["Parameter"]["Value"])
        except ClientError as error:
            raise TemplateError(
                f"Unable to fetch parameters [{name}] from parameter store for this account."
            ) from error

    def zones(self, region: str) -> list[str]:
        """Return the availability zones of a region."""
        answer = self.clients.client("ec2", region).describe_availability_zones()
        return [zone["ZoneName"] for zone in answer["AvailabilityZones"]]

    def template_at(self, region: str, url: str) -> str:
        """Read a template from the local S3, by any of the addresses that S3 has for an object."""
        bucket, key = _object_of(url)
        try:
            body: bytes = self.clients.client("s3", region).get_object(Bucket=bucket, Key=key)["Body"].read()
        except ClientError as error:
            raise RequestRefusedError(f"S3 error: {error} (template {url})") from error
        return body.decode()

    def step(self, name: str, work: Callable[[], _T], *, undo: Callable[[_T], object] | None = None) -> _T:
        """Do one call of a handler, within its time.

        Args:
            name: whom it is for, to tell the thread.
            work: the call.
            undo: takes back what `work` made, should it come to an end only after its time.

        Raises:
            ResourceFailedError: the handler failed or took too long.
        """
        outcome: queue.Queue[tuple[_T | None, BaseException | None]] = queue.Queue()
        given_up = threading.Event()

        def run() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - whatever a handler raises is this resource's failure
                outcome.put((None, error))
                return
            outcome.put((result, None))
            if given_up.is_set() and undo is not None:
                with contextlib.suppress(Exception):
                    undo(result)

        threading.Thread(target=run, name=f"step {name}", daemon=True).start()
        try:
            result, error = outcome.get(timeout=self.step_seconds)
        except queue.Empty:
            given_up.set()
            raise ResourceFailedError(f"Resource timed out: no answer after {self.step_seconds:.0f} seconds") from None
        if error is not None:
            raise ResourceFailedError(_reason(error)) from error
        return result  # type: ignore[return-value]  # no error, so there is a result, which may be None where _T allows it


def _reason(error: BaseException) -> str:
    if isinstance(error, ClientError):
        answer: Any = error.response
        code, message = answer["Error"].get("Code"), answer["Error"].get("Message")
        return f"{message} (operation {error.operation_name}, code {code})"
    return str(error) or type(error).__name__


def _object_of(url: str) -> tuple[str, str]:
    """Take an object's address apart: `s3://BUCKET/KEY`, host-style, path-style, or on a local endpoint."""
    host_style = re.match(r"https?://(?P<bucket>[^/]+?)\.s3[.-][^/]*amazonaws[^/]*/(?P<key>[^?]+)", url)
    path_style = re.match(r"https?://[^/]+/(?P<bucket>[^/]+)/(?P<key>[^?]+)", url)
    match = re.match(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)", url) or host_style or path_style
    if match is None:
        raise RequestRefusedError(f"S3 error: {url} is no address of a template")
    return match["bucket"], match["key"]
