"""The NATS cluster."""

from __future__ import annotations

from constructs import Construct

from catalog.environment import Environment
from fleet_constructs.fleet_network import FleetNetwork
from fleet_constructs.nats_cluster import NatsCluster
from fleet_constructs.retention import Retention
from stacks.fleet_stack import FleetStack


class NatsStack(FleetStack):
    """Three NATS nodes with names, addresses and disks of their own."""

    def __init__(
        self, scope: Construct, *, environment: Environment, network: FleetNetwork, retention: Retention
    ) -> None:
        super().__init__(scope, "nats", environment=environment, retention=retention, description="NATS cluster")
        NatsCluster(self, "Cluster", environment=environment, network=network, retention=retention)
