"""Systems Manager: a command that nobody carries out has not succeeded, and it goes only to those that it names.

moto 5.2.5 answers every command with Success at once, which lets any gate pass that asks a node by SSM; and a command without
targets goes to every instance there is. Without an executor a command is one that could not be delivered in time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ssm.models import Command

from local_aws.resources.moto_repairs.patching import around

NOT_DELIVERED = {
    "Status": "TimedOut",
    "StatusDetails": "DeliveryTimedOut",
    "ResponseCode": -1,
    "ExecutionStartDateTime": "",
    "ExecutionElapsedTime": "",
    "ExecutionEndDateTime": "",
}


def apply() -> None:
    """Mend the outcome of commands and the instances that they go to."""

    @around(Command, "__init__")
    def not_delivered(original: Callable[..., None], command: Command, *arguments: Any, **named: Any) -> None:
        original(command, *arguments, **named)
        command.status = "TimedOut"
        command.status_details = "DeliveryTimedOut"
        command.completed_count = 0
        for invocation in command.invocations:
            invocation.update(NOT_DELIVERED)

    @around(Command, "response_object")
    def counted(original: Callable[[Command], dict[str, Any]], command: Command) -> dict[str, Any]:
        return {
            **original(command),
            "DeliveryTimedOutCount": len(command.invocations),
            "TargetCount": len(command.invocations),
        }

    @around(Command, "_get_instance_ids_from_targets")
    def only_targets(original: Callable[[Command], list[str]], command: Command) -> list[str]:
        return original(command) if command.targets else []
