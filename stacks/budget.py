"""Budgets of a stack, well below CloudFormation's limits, checked on what was synthesised."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_RESOURCES = 450
MAX_TEMPLATE_BYTES = 800_000
MAX_DYNAMIC_REFERENCES = 50
MAX_POLICY_CHARACTERS = (
    9_500  # IAM takes 10,240 in the policies of one role, and the role that starts tasks names each of theirs
)
SHOWN_TYPES = 5


@dataclass(frozen=True, slots=True)
class BudgetExceededError(Exception):
    """A stack is larger than its budget."""

    complaints: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.complaints)


def check_budgets(assembly: Path) -> None:
    """Raise if a template in a cloud assembly is larger than its budget.

    Args:
        assembly: the folder that the app was synthesised to.

    Raises:
        BudgetExceededError: naming each stack, its figure, the budget and the types that it has most of.
    """
    complaints = [line for template in sorted(assembly.glob("*.template.json")) for line in _complaints(template)]
    if complaints:
        raise BudgetExceededError(tuple(complaints))


def _complaints(template: Path) -> list[str]:
    stack = template.name.removesuffix(".template.json")
    text = template.read_text(encoding="utf-8")
    resources = json.loads(text).get("Resources", {}).values()
    types = Counter(resource["Type"] for resource in resources)
    largest = ", ".join(f"{count} {kind}" for kind, count in types.most_common(SHOWN_TYPES))
    figures = (
        ("resources", types.total(), MAX_RESOURCES),
        ("bytes of template", len(text.encode()), MAX_TEMPLATE_BYTES),
        ("dynamic references", text.count("{{resolve:"), MAX_DYNAMIC_REFERENCES),
        ("characters of policy in a role", max(map(_policy_characters, resources), default=0), MAX_POLICY_CHARACTERS),
    )
    return [
        f"{stack}: {figure} {noun}, the budget is {budget}; it has most of: {largest}; move services to another stack of the group (`stack: 2`)"
        for noun, figure, budget in figures
        if figure > budget
    ]


def _policy_characters(resource: Any) -> int:
    if resource["Type"] != "AWS::IAM::Role":
        return 0
    policies = [policy["PolicyDocument"] for policy in resource.get("Properties", {}).get("Policies", [])]
    return sum(len(json.dumps(_written(policy), separators=(",", ":"))) for policy in policies)


def _written(value: Any) -> Any:
    """Return a value about as long as CloudFormation will write it."""
    match value:
        case {"Fn::Join": [str(separator), list(pieces)]}:
            return separator.join(str(_written(piece)) for piece in pieces)
        case {"Ref": name} | {"Fn::GetAtt": [name, _]} | {"Fn::ImportValue": name}:
            return str(name)
        case dict():
            return {key: _written(child) for key, child in value.items()}
        case list():
            return [_written(child) for child in value]
        case _:
            return value
