"""Budgets of a stack, well below CloudFormation's limits, checked on what was synthesised."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

MAX_RESOURCES = 450
MAX_TEMPLATE_BYTES = 800_000
MAX_DYNAMIC_REFERENCES = 50
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
    types = Counter(resource["Type"] for resource in json.loads(text).get("Resources", {}).values())
    largest = ", ".join(f"{count} {kind}" for kind, count in types.most_common(SHOWN_TYPES))
    figures = (
        ("resources", types.total(), MAX_RESOURCES),
        ("bytes of template", len(text.encode()), MAX_TEMPLATE_BYTES),
        ("dynamic references", text.count("{{resolve:"), MAX_DYNAMIC_REFERENCES),
    )
    return [
        f"{stack}: {figure} {noun}, the budget is {budget}; it has most of: {largest}; move services to another stack of the group (`stack: 2`)"
        for noun, figure, budget in figures
        if figure > budget
    ]
