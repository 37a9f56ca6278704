"""Types that moto has no back end for and that nothing here reads: the stack keeps a record of them, and no API shows it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from string import Template

from local_aws.resources.calls import Properties
from local_aws.resources.contract import Context, Made
from local_aws.resources.tagging import as_map


@dataclass(frozen=True, slots=True)
class Record:
    """A type of which only the stack knows.

    Args:
        prefix: what the physical id begins with.
        attributes: what `Fn::GetAtt` gives, with `$id`, `$region` and `$account` filled in.
    """

    prefix: str
    attributes: Mapping[str, str] = field(default_factory=dict)

    def create(self, context: Context, properties: Properties) -> Made:
        """Note a new resource."""
        known_as = f"{self.prefix}{secrets.token_hex(8)}"
        values = {"id": known_as, "region": context.region, "account": context.account_id}
        return Made(
            known_as,
            {name: Template(text).substitute(values) for name, text in self.attributes.items()},
            _tags(context, properties),
        )

    def update(self, context: Context, made: Made, _old: Properties, new: Properties) -> Made:
        """Change nothing but the tags: the properties are the stack's to keep."""
        return replace(made, tags=_tags(context, new))

    def delete(self, _context: Context, _made: Made, _properties: Properties) -> None:
        """Forget: the stack's record goes with the stack."""


def _tags(context: Context, properties: Properties) -> Mapping[str, str]:
    return {**context.tags, **as_map(properties.get("Tags", ()))}


RECORDS: Mapping[str, Record] = {
    "AWS::CDK::Metadata": Record("cdk-metadata-", {"Id": "$id"}),
    "AWS::DLM::LifecyclePolicy": Record(
        "policy-", {"PolicyId": "$id", "Arn": "arn:aws:dlm:$region:$account:policy/$id"}
    ),
    "AWS::Logs::QueryDefinition": Record("", {"QueryDefinitionId": "$id"}),
}
