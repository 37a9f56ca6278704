"""What every check is given: the environment's description, and the account where it should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from fleet.account import Account
from fleet.errors import InputError
from fleet.local.plane.client import LocalPlane, RunningPlane
from fleet.verify.check import Checks

STACK_PARTS = ("network", "images", "monitoring", "certificates", "nats", "cache")
SERVICES_PART = "services-GROUP"
"""What stands for the stacks of services where people read it."""
NO_TASKS = "nothing runs here that could be asked"


@dataclass(frozen=True, slots=True)
class Scope:
    """One environment and its account."""

    catalog: Catalog
    environment: Environment
    account: Account
    plane: RunningPlane | None = None
    """What runs the local environment's tasks and nodes, where it does."""
    gateway: str | None = None
    """The address of the gateway, where it can be reached from here."""
    has_cache: bool = True
    """Whether a cache runs; on a machine that has no program for it the fleet runs without."""

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.environment.name

    @property
    def claims_tasks(self) -> bool:
        """Whether tasks run there; without its plane the local AWS keeps services without anything behind them."""
        return self._runs

    @property
    def claims_nodes(self) -> bool:
        """Whether NATS nodes run there that answer."""
        return self.environment.nats.wait_for_nodes and self._runs

    @property
    def claims_cache(self) -> bool:
        """Whether a cache is there that answers."""
        return self.environment.cache.prove_passwords and self._runs and self.has_cache

    @property
    def _runs(self) -> bool:
        return self.plane is not None or not self.account.is_local

    def checks(self) -> Checks:
        """Return a place for checks whose remedy is a deployment."""
        return Checks(fix=f"make deploy ENV={self.name}")

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of something in the account and region."""
        return f"arn:{self.account.partition}:{service}:{self.environment.region}:{self.account.account_id}:{resource}"

    def role_arn(self, role: str) -> str:
        """Return the ARN of a role, which belongs to no region."""
        return f"arn:{self.account.partition}:iam::{self.account.account_id}:role/{role}"

    @property
    def topic_arn(self) -> str:
        """ARN of the topic that every alarm acts on."""
        return self.arn("sns", names.alerts_topic(self.name))


def scope_of(catalog: Catalog, environment: Environment, account: Account, gateway: str | None = None) -> Scope:
    """Return the scope of an environment, with what runs on this machine where it is the local one.

    Args:
        catalog: What should be there.
        environment: Where it should be.
        account: Where that is.
        gateway: Address of the gateway, where the user knows one.

    Raises:
        InputError: The address is none.
    """
    if gateway is not None and not gateway.startswith(("https://", "http://")):
        raise InputError(f"--gateway is an address such as https://gateway.example.com, got {gateway!r}")
    plane = LocalPlane().running() if account.is_local else None
    if plane is None:
        return Scope(catalog, environment, account, None, gateway)
    status = plane.ask("status")
    return Scope(
        catalog, environment, account, plane, gateway or _local_gateway(catalog, status), status["cache"]["runs"]
    )


def _local_gateway(catalog: Catalog, status: Mapping[str, Any]) -> str | None:
    """Return where a gateway listens on this machine."""
    doors = {service.name for service in catalog.enabled if catalog.is_gateway(service)}
    for service in status["tasks"]["services"]:
        for task in service["tasks"] if service["name"] in doors else ():
            if task["health"] == "HEALTHY":
                return f"http://127.0.0.1:{task['ports']['GATEWAY_PORT']}"
    return None
