"""What an account must hold before an environment can be deployed to it: addresses and a certificate, kept in SSM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from fleet.account import Account
from fleet.chunks import chunks

InputKind = Literal["email", "sms", "https", "certificate"]
PARAMETERS_A_REQUEST = 10
_EXAMPLES: dict[InputKind, str] = {
    "email": "alerts@example.com",
    "sms": "+12025550123",
    "https": "https://alerts.example.com/gaming-system",
    "certificate": "arn:aws:acm:REGION:ACCOUNT:certificate/ID",
}


@dataclass(frozen=True, slots=True)
class AccountInput:
    """One input."""

    parameter: str
    """Full name of the SSM parameter."""
    kind: InputKind
    """What its value is."""

    @property
    def example(self) -> str:
        """A value of the right form."""
        return _EXAMPLES[self.kind]

    def command(self, region: str) -> str:
        """Return the command that puts it where it belongs."""
        return f"aws ssm put-parameter --region {region} --type String --name {self.parameter} --value {self.example}"


def required_inputs(catalog: Catalog, environment: Environment) -> list[AccountInput]:
    """Return what the stacks of an environment ask of its account."""
    alerts = environment.alerts
    wanted = [
        AccountInput(names.parameter(environment.name, subscription.parameter), subscription.protocol)
        for subscription in [*alerts.subscriptions, *alerts.fallback_subscriptions]
    ]
    if any(catalog.is_gateway(service) for service in catalog.enabled):
        wanted.append(
            AccountInput(names.parameter(environment.name, environment.gateway.certificate_parameter), "certificate")
        )
    return list({wanted_input.parameter: wanted_input for wanted_input in wanted}.values())


def missing_inputs(account: Account, wanted: list[AccountInput]) -> list[AccountInput]:
    """Return those that the account does not hold."""
    found: set[str] = set()
    for part in chunks([wanted_input.parameter for wanted_input in wanted], PARAMETERS_A_REQUEST):
        found |= {parameter["Name"] for parameter in account.ssm.get_parameters(Names=part)["Parameters"]}
    return [wanted_input for wanted_input in wanted if wanted_input.parameter not in found]
