"""What watches the fleet: topics, logs, dashboard."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from fleet_constructs.alerts import Alerts
from fleet_constructs.dashboard import dashboard_body
from fleet_constructs.fleet_logs import FleetLogs
from fleet_constructs.retention import Retention
from stacks.fleet_stack import FleetStack


class MonitoringStack(FleetStack):
    """Alert topics with their key, the fleet's log group, the dashboard."""

    def __init__(self, scope: Construct, *, catalog: Catalog, environment: Environment, retention: Retention) -> None:
        super().__init__(
            scope, "monitoring", environment=environment, retention=retention, description="Alerts, logs, dashboard"
        )
        self.alerts = Alerts(self, "Alerts", environment=environment, retention=retention)
        self.log_group = FleetLogs(self, "Logs", environment=environment, retention=retention).log_group
        cloudwatch.CfnDashboard(
            self,
            "Dashboard",
            dashboard_name=names.dashboard(environment.name),
            dashboard_body=json.dumps(dashboard_body(catalog, environment), separators=(",", ":")),
        )
        self.always_export(self.alerts.topic.topic_arn, self.log_group.log_group_name)
        cdk.CfnOutput(
            self, "AlertsTopic", value=self.alerts.topic.topic_arn, description="Topic that every alarm acts on"
        )
