"""The repositories of the container images."""

from __future__ import annotations

from constructs import Construct

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from fleet_constructs.account_inputs import pascal_case
from fleet_constructs.image_repository import ImageRepository
from fleet_constructs.retention import Retention
from stacks.fleet_stack import FleetStack


class ImagesStack(FleetStack):
    """One repository an entry, enabled or not, and one for the reference runtime."""

    def __init__(self, scope: Construct, *, catalog: Catalog, environment: Environment, retention: Retention) -> None:
        super().__init__(
            scope,
            "images",
            environment=environment,
            retention=retention,
            description="Repositories of container images",
        )
        for name in [names.REFERENCE_RUNTIME, *catalog.services]:
            ImageRepository(
                self, pascal_case(name), repository_name=names.repository(name, environment.name), retention=retention
            )
