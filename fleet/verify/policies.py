"""What a resource policy allows a service of AWS, read as AWS would read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any


def allows(policy: Mapping[str, Any], principal: str, action: str, account_id: str) -> bool:
    """Tell whether a policy lets a service of AWS do something for resources of an account, and nothing in it forbids that."""
    statements = _listed(policy.get("Statement"))
    matching = [
        statement
        for statement in statements
        if _names_service(statement, principal)
        and _names_action(statement, action)
        and _holds(statement.get("Condition", {}), account_id)
    ]
    return any(one["Effect"] == "Allow" for one in matching) and not any(one["Effect"] == "Deny" for one in matching)


def only_own_account(policy: Mapping[str, Any], principal: str, action: str, account_id: str) -> bool:
    """Tell whether every statement that lets the service in asks that it comes on behalf of the account."""
    return all(
        account_id in _listed(_condition_value(statement, "aws:SourceAccount"))
        for statement in _listed(policy.get("Statement"))
        if statement["Effect"] == "Allow" and _names_service(statement, principal) and _names_action(statement, action)
    )


def _names_service(statement: Mapping[str, Any], principal: str) -> bool:
    named = statement.get("Principal", {})
    if named == "*":
        return True
    return principal in _listed(named.get("Service")) or "*" in _listed(named.get("AWS"))


def _names_action(statement: Mapping[str, Any], action: str) -> bool:
    return any(fnmatchcase(action.lower(), str(pattern).lower()) for pattern in _listed(statement.get("Action")))


def _holds(condition: Mapping[str, Any], account_id: str) -> bool:
    """Tell whether a condition holds for a request of CloudWatch's over TLS on behalf of the account."""
    request = {"aws:sourceaccount": account_id, "aws:securetransport": "true"}
    for operator, wanted in condition.items():
        for key, values in wanted.items():
            value = request.get(key.lower())
            listed = [str(one).lower() for one in _listed(values)]
            if value is None or operator not in {"StringEquals", "StringLike", "Bool"}:
                # Something that is not known here: a grant with it is no proof, and a refusal with it no obstacle.
                return False
            if value not in listed:
                return False
    return True


def _condition_value(statement: Mapping[str, Any], key: str) -> Any:
    for wanted in statement.get("Condition", {}).values():
        for name, values in wanted.items():
            if name.lower() == key.lower():
                return values
    return None


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, Iterable) and not isinstance(value, (str, Mapping)):
        return list(value)
    return [value]
