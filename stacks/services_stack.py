"""The services of one group."""

from __future__ import annotations

from constructs import Construct

from catalog import names
from fleet_constructs.account_inputs import pascal_case
from fleet_constructs.catalog_service import CatalogService
from fleet_constructs.execution_role import ExecutionRole, repositories_of, secrets_of
from fleet_constructs.service_task import Platform
from stacks.fleet_stack import FleetStack


class ServicesStack(FleetStack):
    """The enabled services of one group, or of the part of a group that fits into one stack."""

    def __init__(self, scope: Construct, *, group: str, number: int, platform: Platform) -> None:
        super().__init__(
            scope,
            names.services_part(group, number),
            environment=platform.environment,
            retention=platform.retention,
            description=f"Services: {platform.catalog.groups[group].description}"[:1024],
        )
        services = platform.catalog.enabled_in(group, number)
        role = ExecutionRole(
            self,
            "ExecutionRole",
            repositories=repositories_of(services, platform.environment.name),
            secrets=secrets_of(services, platform.environment.name),
            environment=platform.environment,
            task_principal=platform.task_principal,
        ).role
        for service in services:
            CatalogService(self, pascal_case(service.name), service=service, platform=platform, execution_role=role)
