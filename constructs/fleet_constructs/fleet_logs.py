"""The fleet's one log group."""

from __future__ import annotations

from aws_cdk import aws_kms as kms
from constructs import Construct

from catalog import names
from catalog.environment import Environment
from fleet_constructs.log_group import add_log_group
from fleet_constructs.retention import Retention


class FleetLogs(Construct):
    """A log group, encrypted, with a stream a service and task."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment, retention: Retention) -> None:
        super().__init__(scope, construct_id)
        key = kms.Key(
            self,
            "Key",
            description=f"Logs of {names.PLATFORM} {environment.name}",
            alias=f"alias/{names.PLATFORM}-{environment.name}-logs",
            enable_key_rotation=True,
            removal_policy=retention.removal_policy,
        )
        self.log_group = add_log_group(
            self, name=names.log_group(environment.name), environment=environment, key=key, retention=retention
        )
