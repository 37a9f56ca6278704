"""What every check is given: the environment's description, and the account where it should be."""

from __future__ import annotations

from dataclasses import dataclass

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from fleet.account import Account
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

    @property
    def name(self) -> str:
        """The environment's name."""
        return self.environment.name

    @property
    def claims_tasks(self) -> bool:
        """Whether tasks run there; the local AWS keeps services without anything behind them."""
        return not self.account.is_local

    @property
    def claims_nodes(self) -> bool:
        """Whether NATS nodes run there that answer."""
        return self.environment.nats.wait_for_nodes and not self.account.is_local

    @property
    def claims_cache(self) -> bool:
        """Whether a cache is there that answers."""
        return self.environment.cache.prove_passwords and not self.account.is_local

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
