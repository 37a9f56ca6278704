"""Sends the NATS machines commands by Systems Manager, one machine at a time, and waits for how each ended.

The clients are given, so that a function, the operator's command and a test each bring their own.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SLOT_TAG = "nats-slot"
ENVIRONMENT_TAG = "environment"
PARAMETER = "Request"
DELIVERY_SECONDS = 30  # until the machine has taken the command up; Systems Manager takes no less
# Most commands have ended within a second; the others are not asked for more often than Systems Manager likes.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 2.0
_UNDER_WAY = {"Pending", "InProgress", "Delayed", "Cancelling"}
_LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    succeeded: bool
    status: str
    """Systems Manager's word for it, such as `Success` or `DeliveryTimedOut`."""
    output: str = ""
    errors: str = ""

    @property
    def detail(self) -> str:
        """What it said last, for people."""
        lines = (self.output if self.succeeded else self.errors).strip().splitlines()
        return "; ".join([self.status, *lines[-_LAST_LINES:]])

    @property
    def last_line(self) -> str:
        """What it said last, word for word."""
        lines = self.output.strip().splitlines()
        return lines[-1] if lines else ""

    @property
    def answer(self) -> Mapping[str, Any]:
        """What it said last, for programs: the agent ends with a line of JSON, packed where it would be too long."""
        try:
            told = json.loads(self.last_line or "{}")
        except ValueError:
            return {}
        if isinstance(told, dict) and "z" in told:
            told = json.loads(zlib.decompress(base64.b64decode(told["z"])))
        return told if isinstance(told, dict) else {}


@dataclass(frozen=True)
class Commander:
    """Finds machines and sends commands."""

    ec2: Any
    ssm: Any
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def machines(self, environment: str) -> dict[str, str]:
        """Return the running machines of an environment by the node that each is, in order."""
        filters = [
            {"Name": f"tag:{ENVIRONMENT_TAG}", "Values": [environment]},
            {"Name": "tag-key", "Values": [SLOT_TAG]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        found = {
            tag["Value"]: str(instance["InstanceId"])
            for page in self.ec2.get_paginator("describe_instances").paginate(Filters=filters)
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
            for tag in instance["Tags"]
            if tag["Key"] == SLOT_TAG
        }
        return dict(sorted(found.items()))

    def run(
        self, document: str, machine: str, parameters: Mapping[str, Sequence[str]], *, at_most_seconds: float
    ) -> Outcome:
        """Have a machine carry a document out; whatever keeps it from that is how it ended."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # slow, and the agent has none

        try:
            command = self.ssm.send_command(
                DocumentName=document,
                InstanceIds=[machine],
                Parameters=dict(parameters),
                TimeoutSeconds=DELIVERY_SECONDS,
            )
            answer = self._wait(command["Command"]["CommandId"], machine, at_most_seconds)
        except (BotoCoreError, ClientError) as error:
            return Outcome(succeeded=False, status=f"{type(error).__name__}: {error}")
        if answer is None:
            return Outcome(succeeded=False, status=f"no answer within {at_most_seconds:.0f} s")
        return Outcome(
            answer["Status"] == "Success",
            answer["StatusDetails"],
            answer["StandardOutputContent"],
            answer["StandardErrorContent"],
        )

    def _wait(self, command: str, machine: str, at_most_seconds: float) -> Mapping[str, Any] | None:
        """Return how a command ended; None if it has not in time."""
        end, pause_seconds = self.clock() + at_most_seconds, _FIRST_PAUSE_SECONDS
        while self.clock() < end:
            self.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
            try:
                answer: Mapping[str, Any] = self.ssm.get_command_invocation(CommandId=command, InstanceId=machine)
            except self.ssm.exceptions.InvocationDoesNotExist:
                continue  # it is not known everywhere at once
            if answer["Status"] not in _UNDER_WAY:
                return answer
        return None


def packed(request: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what an agent's document takes: a request as base64 of JSON, which means nothing to a shell."""
    text = json.dumps(request, separators=(",", ":"), sort_keys=True)
    return {PARAMETER: [base64.b64encode(text.encode()).decode("ascii")]}
