"""Carries out an Automation of Systems Manager, as far as our document goes: scripts, branches and loops.

Source: Systems Manager user guide, "Automation runbook reference".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local_aws.errors import LocalAwsError

_WHOLE = re.compile(r"\{\{\s*([\w.:]+)\s*\}\}")
_PAYLOAD = "$.Payload."
_USUAL_SECONDS = 600.0

RunScript = Callable[[str, str, Mapping[str, Any], float], Any]
"""Runs a script's handler with a payload, within some seconds, and returns what it returned."""


class AutomationError(LocalAwsError):
    """A step failed, or is none that is carried."""


@dataclass
class Automation:
    """One execution of a document.

    Args:
        values: What `{{ NAME }}` stands for: the parameters, what Automation tells of itself, and the outputs of steps so far.
        run_script: Runs the script of a step.
        note: Is told of each step as it begins, ends and fails.
    """

    values: dict[str, Any]
    run_script: RunScript
    note: Callable[[str, str, str], None]

    def carry_out(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """Carry steps out in their order, from the first to one that ends the document.

        Raises:
            AutomationError: One failed; those after it were not begun.
        """
        place = {step["name"]: number for number, step in enumerate(steps)}
        number = 0
        while number < len(steps):
            step = steps[number]
            target = self._step(step)
            if target is not None:
                number = place[target]
            elif step.get("isEnd"):
                return
            else:
                number += 1

    def _step(self, step: Mapping[str, Any]) -> str | None:
        """Carry one step out; return the name of the step that is next where it says so."""
        name, action = str(step["name"]), str(step["action"])
        self.note(name, action, "InProgress")
        try:
            target = self._actions(action)(step)
        except Exception:
            self.note(name, action, "Failed")
            raise
        self.note(name, action, "Success")
        return target

    def _actions(self, action: str) -> Callable[[Mapping[str, Any]], str | None]:
        known = {"aws:executeScript": self._script, "aws:branch": self._branch, "aws:loop": self._loop}
        if action not in known:
            raise AutomationError(f"the action {action} is not carried; there are: {', '.join(known)}")
        return known[action]

    def _script(self, step: Mapping[str, Any]) -> None:
        inputs = step["inputs"]
        seconds = float(step.get("timeoutSeconds", _USUAL_SECONDS))
        payload = self.resolved(inputs.get("InputPayload", {}))
        told = self.run_script(inputs["Script"], inputs["Handler"], payload, seconds)
        for output in step.get("outputs", ()):
            selector = str(output["Selector"])
            key = selector.removeprefix(_PAYLOAD)
            if not selector.startswith(_PAYLOAD) or key not in (told or {}):
                raise AutomationError(f"{step['name']}: {selector} is not in what the script returned")
            self.values[f"{step['name']}.{output['Name']}"] = told[key]

    def _branch(self, step: Mapping[str, Any]) -> str | None:
        for choice in step["inputs"]["Choices"]:
            unknown = choice.keys() - {"NextStep", "Variable", "NumericGreater"}
            if unknown:
                raise AutomationError(f"{step['name']}: {', '.join(sorted(unknown))} is not carried in a choice")
            if float(self.resolved(choice["Variable"])) > float(choice["NumericGreater"]):
                return str(choice["NextStep"])
        default = step["inputs"].get("Default")
        return str(default) if default else None

    def _loop(self, step: Mapping[str, Any]) -> None:
        for value in self.resolved(step["inputs"]["Iterators"]):
            self.values[f"{step['name']}.CurrentIteratorValue"] = value
            self.carry_out(step["inputs"]["Steps"])

    def resolved(self, value: Any) -> Any:
        """Return a value with everything in its place that it names; what is nothing but a name keeps its type."""
        if isinstance(value, Mapping):
            return {key: self.resolved(member) for key, member in value.items()}
        if not isinstance(value, str):
            return value
        if found := _WHOLE.fullmatch(value):
            return self._value(found[1])
        return _WHOLE.sub(lambda found: str(self._value(found[1])), value)

    def _value(self, name: str) -> Any:
        if name not in self.values:
            raise AutomationError(f"{{{{ {name} }}}} stands for nothing; there are: {', '.join(sorted(self.values))}")
        return self.values[name]
