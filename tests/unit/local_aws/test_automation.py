"""An Automation is carried out step by step: scripts with what they are given and give, branches, loops, and an end at the first fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from local_aws.automation import Automation, AutomationError


class Script:
    """Runs no script, but notes each and answers as a test says."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.ran: list[tuple[str, Mapping[str, Any]]] = []
        self.notes: list[str] = []

    def __call__(self, script: str, handler: str, payload: Mapping[str, Any], seconds: float) -> Any:
        assert (script, seconds) == ("the script", 600.0)
        self.ran.append((handler, payload))
        answer = self.answers.get(handler, {})
        if isinstance(answer, Exception):
            raise answer
        return answer

    def automation(self, **values: Any) -> Automation:
        return Automation(dict(values), self, lambda name, _, status: self.notes.append(f"{name} {status}"))


def step(name: str, handler: str, given: Mapping[str, Any] | None = None, outputs: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "action": "aws:executeScript",
        "timeoutSeconds": 600,
        "inputs": {"Script": "the script", "Handler": handler, "InputPayload": given or {}},
        "outputs": [{"Name": one, "Selector": f"$.Payload.{one}", "Type": "String"} for one in outputs.split()],
    }


ROLL = [
    step("Plan", "plan", {"Every": "{{ Every }}"}, "Nodes Count"),
    {
        "name": "Any",
        "action": "aws:branch",
        "isEnd": True,
        "inputs": {"Choices": [{"NextStep": "Each", "Variable": "{{ Plan.Count }}", "NumericGreater": 0}]},
    },
    {
        "name": "Each",
        "action": "aws:loop",
        "isEnd": True,
        "inputs": {
            "Iterators": "{{ Plan.Nodes }}",
            "Steps": [
                step("Replace", "replace", {"Node": "{{ Each.CurrentIteratorValue }}"}, "Ended"),
                step("Gate", "gate", {"Told": "{{ Replace.Ended }} of {{ Each.CurrentIteratorValue }}"}),
            ],
        },
    },
]


def test_a_loop_does_its_steps_for_each_and_hands_on_what_scripts_return() -> None:
    script = Script(plan={"Nodes": ["a", "b"], "Count": 2}, replace={"Ended": "i-1"})
    script.automation(Every="true").carry_out(ROLL)
    replaced = [("replace", {"Node": name}) for name in "ab"]
    gated = [("gate", {"Told": f"i-1 of {name}"}) for name in "ab"]
    assert script.ran == [("plan", {"Every": "true"}), replaced[0], gated[0], replaced[1], gated[1]]


def test_a_branch_that_finds_nothing_to_do_ends_the_document() -> None:
    script = Script(plan={"Nodes": [], "Count": 0})
    script.automation(Every="false").carry_out(ROLL)
    assert [handler for handler, _ in script.ran] == ["plan"]
    assert script.notes == ["Plan InProgress", "Plan Success", "Any InProgress", "Any Success"]


def test_a_script_that_fails_ends_the_document_and_each_step_around_it() -> None:
    script = Script(plan={"Nodes": ["a", "b"], "Count": 2}, replace=AutomationError("a did not leave"))
    with pytest.raises(AutomationError, match="a did not leave"):
        script.automation(Every="false").carry_out(ROLL)
    assert [handler for handler, _ in script.ran] == ["plan", "replace"]
    assert script.notes[-2:] == ["Replace Failed", "Each Failed"]


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([{"name": "Wait", "action": "aws:sleep"}], "the action aws:sleep is not carried"),
        ([step("Plan", "plan", {"X": "{{ Nobody.Said }}"})], "{{ Nobody.Said }} stands for nothing"),
        ([step("Plan", "plan", outputs="Nodes")], r"\$\.Payload\.Nodes is not in what the script returned"),
        (
            [{"name": "B", "action": "aws:branch", "inputs": {"Choices": [{"NextStep": "B", "StringEquals": "x"}]}}],
            "StringEquals is not carried in a choice",
        ),
    ],
    ids=["action", "name", "output", "choice"],
)
def test_what_is_not_carried_is_refused_by_its_name(steps: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(AutomationError, match=told):
        Script().automation().carry_out(steps)
