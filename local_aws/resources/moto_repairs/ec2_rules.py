"""EC2: descriptions of rules between groups, and access-list entries that are gone.

moto 5.2.5 tells no description of a security group rule that names a group or a prefix list, and cannot change it either; it breaks
when an entry of a network access list is deleted twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.network_acls import NetworkAclBackend
from moto.ec2.models.security_groups import SecurityGroupRule

from local_aws.resources.moto_repairs.patching import around

_PARTS = ("ip_range", "source_group", "prefix_list_id")


class NoEntryError(EC2ClientError):
    """A network access list has no such entry."""

    def __init__(self, number: int) -> None:
        super().__init__(
            "InvalidNetworkAclEntry.NotFound", f"The network acl entry with rule number '{number}' does not exist"
        )


def _description(rule: SecurityGroupRule) -> str | None:
    for name in _PARTS:
        part = getattr(rule, name)
        if isinstance(part, dict) and "Description" in part:
            return str(part["Description"])
    return None


def _without_description(part: dict[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (part or {}).items() if name != "Description"}


def _is_same(rule: SecurityGroupRule, other: SecurityGroupRule) -> bool:
    """Two rules are one, as EC2 sees it, if they let the same through; what they are described as does not count."""
    ports = ("ip_protocol",) if rule.ip_protocol == "-1" else ("ip_protocol", "from_port", "to_port")
    return all(getattr(rule, name) == getattr(other, name) for name in ports) and all(
        _without_description(getattr(rule, name)) == _without_description(getattr(other, name)) for name in _PARTS
    )


def apply() -> None:
    """Mend rules and entries."""
    SecurityGroupRule.__eq__ = _is_same  # type: ignore[method-assign]
    SecurityGroupRule.description = property(_description)  # type: ignore[method-assign, assignment]

    @around(NetworkAclBackend, "delete_network_acl_entry")
    def delete_network_acl_entry(
        original: Callable[..., Any], backend: Any, acl: str, number: int, *direction: bool
    ) -> Any:
        try:
            return original(backend, acl, number, *direction)
        except StopIteration:
            raise NoEntryError(number) from None
