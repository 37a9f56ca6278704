"""Calls of a service's operations, with arguments taken from the resource that they are about.

Where an argument comes from is a JMESPath expression over the resource's scope: its properties, its attributes, `id` (the
physical id), `region`, `account`, `stack` and `token` (never the same twice). The names at the root of the expressions tell which properties a call carries.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import jmespath
from botocore.exceptions import ClientError

from local_aws.resources.coerce import Coercion
from local_aws.resources.contract import Context, Made

Properties = Mapping[str, Any]
Expression = str | Callable[[Mapping[str, Any]], Any]

_GONE_CODES = ("NotFound", "NoSuch", "DoesNotExist", "NotExist", "Nonexistent", "NotAttached")
_GONE_MESSAGES = (
    "not found",
    "does not exist",
    "No scalable target found",
    "No scaling policy found",
)  # from services that have one code for everything
_CHAINS = {
    "subexpression",
    "index_expression",
    "projection",
    "value_projection",
    "filter_projection",
    "flatten",
    "pipe",
}
_NOT_PROPERTIES = {"id", "region", "account", "stack", "token"}


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of a service, and where its arguments come from; made by `call`."""

    operation: str
    arguments: Mapping[str, str]

    @property
    def carries(self) -> frozenset[str]:
        """The properties that the expressions take."""
        return (
            frozenset[str]().union(*(_roots(_compiled(text).parsed) for text in self.arguments.values()))
            - _NOT_PROPERTIES
        )


def call(operation: str, **arguments: str) -> Call:
    """Return a call of a boto3 method whose arguments are JMESPath expressions."""
    return Call(operation, arguments)


@dataclass(frozen=True, slots=True)
class Task:
    """One resource of one stack, on its way from `old` properties to `new` ones.

    Args:
        type_name: the resource type.
        service: boto3's name of the service that the type belongs to.
        context: the engine's.
        made: the resource so far; without a physical id before it is made.
        old: the properties that it has; none at its creation.
        new: the properties that it is to have.
        renames: members inside of properties that the operations call otherwise, by dotted path.
    """

    type_name: str
    service: str
    context: Context
    made: Made
    old: Properties
    new: Properties
    renames: Mapping[str, str] = field(default_factory=dict)

    @property
    def client(self) -> Any:
        """The client of the type's own service."""
        return self.context.client(self.service)

    @property
    def id(self) -> str:
        """The physical id."""
        return self.made.physical_id

    @property
    def changed(self) -> frozenset[str]:
        """The properties that differ between old and new."""
        return frozenset(name for name in {*self.old, *self.new} if self.old.get(name) != self.new.get(name))

    @property
    def scope(self) -> dict[str, Any]:
        """What expressions see."""
        context = self.context
        own = {
            "region": context.region,
            "account": context.account_id,
            "stack": context.stack_name,
            "token": secrets.token_hex(16),
        }
        return {**self.made.attributes, **self.new, **own, **({"id": self.id} if self.id else {})}

    def with_made(self, made: Made) -> Task:
        """Return the same task, further on."""
        return replace(self, made=made)

    def perform(self, wanted: Call, **extra: Any) -> dict[str, Any]:
        """Call an operation with what its expressions give, and with extra arguments in CloudFormation's form."""
        coercion = Coercion(self.client, wanted.operation, type_name=self.type_name, renames=self.renames)
        scope = self.scope
        found = {name: look_up(text, scope) for name, text in wanted.arguments.items()}
        given = {name: value for name, value in found.items() if value is not None} | extra
        answer = getattr(self.client, wanted.operation)(**dict(coercion.argument(*item) for item in given.items()))
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def is_gone(error: ClientError) -> bool:
    """Tell whether a service's error means that the thing is not there."""
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    return any(word in code for word in _GONE_CODES) or any(word in message for word in _GONE_MESSAGES)


def look_up(expression: Expression, scope: Mapping[str, Any]) -> Any:
    """Evaluate an expression, or the function that stands for one where the language has no word for it."""
    return _compiled(expression).search(scope) if isinstance(expression, str) else expression(scope)


@cache
def _compiled(text: str) -> Any:
    compile_untyped: Any = jmespath.compile
    return compile_untyped(text)


def _roots(node: Any) -> frozenset[str]:
    """Return the names that a parsed expression takes from its scope."""
    if node["type"] == "field":
        return frozenset({node["value"]})
    children = node["children"][:1] if node["type"] in _CHAINS else node["children"]
    return frozenset[str]().union(*(_roots(child) for child in children if isinstance(child, dict)))
