"""The NATS cluster."""

from __future__ import annotations

from aws_cdk import aws_logs as logs
from constructs import Construct

from catalog.catalog import Catalog
from catalog.environment import Environment
from fleet_constructs.fleet_network import FleetNetwork
from fleet_constructs.load_test_task import LoadTestTask, runtime_of
from fleet_constructs.nats_alarms import add_nats_alarms
from fleet_constructs.nats_assets import NatsAssets
from fleet_constructs.nats_bucket import NatsBucket
from fleet_constructs.nats_cluster import NatsCluster
from fleet_constructs.nats_control import NatsControl
from fleet_constructs.nats_documents import NatsDocuments
from fleet_constructs.nats_logs import NatsLogs
from fleet_constructs.nats_roll import NatsRoll
from fleet_constructs.retention import Retention
from stacks.fleet_stack import FleetStack


class NatsStack(FleetStack):
    """Three NATS nodes with names, addresses and disks of their own, what configures, rolls, backs up and watches them, and what loads them.

    Ends with nodes that run on what the catalog asks for; whoever connects to them depends on this stack.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        catalog: Catalog,
        environment: Environment,
        network: FleetNetwork,
        topic_arn: str,
        log_group: logs.ILogGroup,
        retention: Retention,
    ) -> None:
        super().__init__(scope, "nats", environment=environment, retention=retention, description="NATS cluster")
        cluster = NatsCluster(self, "Cluster", environment=environment, network=network, retention=retention)
        bucket = NatsBucket(
            self,
            "Bucket",
            environment=environment,
            key=cluster.key,
            access_logs=network.traffic_logs,
            retention=retention,
        )
        logs = NatsLogs(self, "Logs", environment=environment, key=cluster.key, retention=retention)
        documents = NatsDocuments(self, "Documents", environment=environment)
        control = NatsControl(
            self,
            "Control",
            environment=environment,
            assets=NatsAssets(self, "Assets", environment=environment),
            documents=documents,
            key_arn=cluster.key.key_arn,
            retention=retention,
        )
        configuration = control.configure(catalog)
        # The bucket with its policy before the first object, and until it has been emptied.
        configuration.node.add_dependency(bucket, documents)
        for machine in cluster.machines:
            machine.node.add_dependency(configuration, logs)
        roll = NatsRoll(
            self,
            "Roll",
            environment=environment,
            documents=documents,
            machines=cluster.machines,
            key_arn=cluster.key.key_arn,
        )
        control.await_nodes(cluster.template_versions).node.add_dependency(roll, *cluster.machines)
        add_nats_alarms(self, environment=environment, topic_arn=topic_arn)
        if runtime := runtime_of(catalog):
            LoadTestTask(
                self,
                "LoadTest",
                runtime=runtime,
                environment=environment,
                log_group=log_group,
                key_arn=cluster.key.key_arn,
            )
