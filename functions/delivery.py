"""Delivers certificates to the NATS nodes: one command of Systems Manager a node, and the next only when the last has ended well."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tls import BUNDLES, Delivered, Delivery, FileReference, Profile, Release, leaf_prefix

SLOT_TAG = "nats-slot"
ENVIRONMENT_TAG = "environment"
DELIVERY_SECONDS = 30  # until the machine has taken the command up; Systems Manager takes no less
NODE_SECONDS = 80  # until it has ended: what the document itself allows, and a little
_PAUSE_SECONDS = 2.0
_UNDER_WAY = {"Pending", "InProgress", "Delayed", "Cancelling"}
_LAST_LINES = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SsmDelivery(Delivery):
    """Has each running node fetch a release and prove it; a node that has it already says so and changes nothing."""

    document: str
    """Name of the document that the nodes run."""
    environment: str
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    ec2: Any = field(default_factory=lambda: boto3.client("ec2"))
    ssm: Any = field(default_factory=lambda: boto3.client("ssm"))

    def deliver(self, release: Release) -> Sequence[Delivered]:
        """Deliver to one node after the other, and stop at the first that fails: the others keep what they serve."""
        return list(self._deliver(release))

    def _deliver(self, release: Release) -> Iterator[Delivered]:
        machines = self._machines()
        if not machines:
            _log.info("no NATS machine runs yet: there is nobody to deliver to")
        for node, machine in sorted(machines.items()):
            outcome = self._deliver_to(node, machine, release)
            yield outcome
            if not outcome.succeeded:
                return

    def _machines(self) -> dict[str, str]:
        """Return the running machines by the node that they are."""
        filters = [
            {"Name": f"tag:{ENVIRONMENT_TAG}", "Values": [self.environment]},
            {"Name": "tag-key", "Values": [SLOT_TAG]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        return {
            tag["Value"]: instance["InstanceId"]
            for page in self.ec2.get_paginator("describe_instances").paginate(Filters=filters)
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
            for tag in instance["Tags"]
            if tag["Key"] == SLOT_TAG
        }

    def _deliver_to(self, node: str, machine: str, release: Release) -> Delivered:
        try:
            parameter = delivery_parameter(release, node)
            command = self.ssm.send_command(
                DocumentName=self.document,
                InstanceIds=[machine],
                Parameters={"Delivery": [parameter]},
                TimeoutSeconds=DELIVERY_SECONDS,
            )
            answer = self._wait(command["Command"]["CommandId"], machine)
        except (BotoCoreError, ClientError, LookupError) as error:
            return Delivered(node, succeeded=False, detail=f"{machine}: {type(error).__name__}: {error}")
        if answer is None:
            return Delivered(node, succeeded=False, detail=f"{machine}: no answer within {NODE_SECONDS} s")
        succeeded = answer["Status"] == "Success"
        told = answer["StandardOutputContent"] if succeeded else answer["StandardErrorContent"]
        lines = [f"{machine}: {answer['StatusDetails']}", *told.strip().splitlines()[-_LAST_LINES:]]
        return Delivered(node, succeeded=succeeded, detail="; ".join(lines))

    def _wait(self, command: str, machine: str) -> Mapping[str, Any] | None:
        """Return how a command ended; None if it has not in time."""
        end = self.clock() + NODE_SECONDS
        while self.clock() < end:
            self.sleep(_PAUSE_SECONDS)
            try:
                answer: Mapping[str, Any] = self.ssm.get_command_invocation(CommandId=command, InstanceId=machine)
            except self.ssm.exceptions.InvocationDoesNotExist:
                continue  # it is not known everywhere at once
            if answer["Status"] not in _UNDER_WAY:
                return answer
        return None


def delivery_parameter(release: Release, node: str) -> str:
    """Return what the document's script takes: where each file of a node is, by version and checksum, as base64 of JSON.

    Raises:
        KeyError: The release has no certificate for the node.
    """
    record = release.record
    files = {name: _plain(f"ca/certificates/{record.version}/{name}", record.files[name]) for name in BUNDLES.values()}
    for profile in (Profile.SERVER, Profile.ROUTE):
        prefix = leaf_prefix(profile, node)
        pointer = release.pointers[prefix]
        files |= {
            f"{profile}-{name}": _plain(f"{prefix}{pointer.version}/{name}", reference)
            for name, reference in pointer.files.items()
        }
    text = json.dumps({"node": node, "files": files}, separators=(",", ":"), sort_keys=True)
    return base64.b64encode(text.encode()).decode("ascii")


def _plain(key: str, reference: FileReference) -> dict[str, Any]:
    return {"key": key, "version_id": reference.version_id, "sha256": reference.sha256}
