"""EC2: flow logs that go below a prefix of a bucket.

moto 5.2.5 takes all of the destination's ARN for the bucket's name, prefix included, and says that there is no such bucket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.models.flow_logs import FlowLogs, FlowLogsBackend

from local_aws.resources.moto_repairs.patching import around


def apply() -> None:
    """Let moto look for the bucket, and keep the destination whole."""

    @around(FlowLogsBackend, "create_flow_logs")
    def with_prefix(
        original: Callable[..., tuple[list[FlowLogs], list[Any]]], backend: FlowLogsBackend, **named: Any
    ) -> tuple[list[FlowLogs], list[Any]]:
        destination = named["log_destination"]
        if named["log_destination_type"] != "s3":
            return original(backend, **named)
        bucket_arn, _, _ = destination.partition("/")
        made, refused = original(backend, **{**named, "log_destination": bucket_arn})
        for flow_logs in made:
            flow_logs.log_destination = destination
        return made, refused
