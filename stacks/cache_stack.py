"""The cache."""

from __future__ import annotations

from constructs import Construct

from catalog.catalog import Catalog
from catalog.environment import Environment
from fleet_constructs.cache import Cache
from fleet_constructs.fleet_network import FleetNetwork
from fleet_constructs.retention import Retention
from stacks.fleet_stack import FleetStack


class CacheStack(FleetStack):
    """The replication group, its users with their passwords, and its alarms."""

    def __init__(
        self,
        scope: Construct,
        *,
        catalog: Catalog,
        environment: Environment,
        network: FleetNetwork,
        topic_arn: str,
        retention: Retention,
    ) -> None:
        super().__init__(scope, "cache", environment=environment, retention=retention, description="Cache")
        self.cache = Cache(
            self,
            "Cache",
            catalog=catalog,
            environment=environment,
            network=network,
            topic_arn=topic_arn,
            retention=retention,
        )
        self.endpoint = self.export_value(self.cache.endpoint, name=f"{self.stack_name}:Endpoint")
