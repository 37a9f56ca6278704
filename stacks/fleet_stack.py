"""What every stack of an environment has in common."""

from __future__ import annotations

import aws_cdk as cdk
from constructs import Construct

from catalog import names
from catalog.environment import Environment
from fleet_constructs.retention import Retention


class FleetStack(cdk.Stack):
    """A stack of one environment, named and tagged as all of them are."""

    def __init__(
        self, scope: Construct, part: str, *, environment: Environment, retention: Retention, description: str
    ) -> None:
        name = names.stack(environment.name, part)
        super().__init__(
            scope,
            name,
            stack_name=name,
            description=description,
            env=cdk.Environment(account=environment.account, region=environment.region),
            tags={"platform": names.PLATFORM, "environment": environment.name, "part": part, **environment.tags},
            termination_protection=not retention.destroy,
        )

    def always_export(self, *values: str) -> None:
        """Export values whether or not another stack uses them yet.

        An export that went with its last user could not be deployed: CloudFormation updates this stack first, and refuses to
        drop an export that is still in use.
        """
        for value in values:
            self.export_value(value)
