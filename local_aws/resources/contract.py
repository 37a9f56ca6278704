"""What the engine asks of a resource type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Made:
    """A resource as it stands after a create or an update.

    Args:
        physical_id: what `Ref` gives.
        attributes: what `Fn::GetAtt` gives, by the attribute's name in the resource schema; a nested one by its dotted
            name, as templates write it (`PrimaryEndPoint.Address`).
        tags: the tags that the resource carries, the stack's among them, so that a later update knows which to take off.
    """

    physical_id: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class Context(Protocol):
    """What a handler may use: clients against this very server, and the stack that it works for."""

    region: str
    account_id: str
    stack_name: str
    stack_id: str
    logical_id: str
    tags: Mapping[str, str]  # the stack's tags, to be put on whatever takes tags, below the resource's own

    def client(self, service: str) -> Any:
        """Return the boto3 client of one service, bound to this server."""


class ResourceHandler(Protocol):
    """One resource type.

    Properties arrive resolved (no intrinsic function is left) and checked against the type's schema. A handler that cannot
    carry a property raises; it never drops one in silence. A create that fails half-way removes what it made.
    """

    def create(self, context: Context, properties: Mapping[str, Any]) -> Made:
        """Make the resource."""

    def update(self, context: Context, made: Made, old: Mapping[str, Any], new: Mapping[str, Any]) -> Made:
        """Change the resource in place; the engine has already decided by the schema that this needs no replacement.

        Called too when `old` equals `new` and only the stack's tags changed. An answer with another physical id says that
        the resource was replaced after all (a custom resource may do so, and some types whose schema does not tell): `made`
        still exists then, and the engine deletes it at clean-up, or deletes the new one on the way back.
        """

    def delete(self, context: Context, made: Made, properties: Mapping[str, Any]) -> None:
        """Remove the resource; one that is gone already is no error."""
