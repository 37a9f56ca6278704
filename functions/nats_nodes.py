"""The NATS nodes as the function sees them: those that run, and what each says to a command."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nats_platform.commander import Commander, Outcome, packed
from nats_platform.limits import waiting_seconds

SILENT = "no node answers in this environment (nats.wait_for_nodes is false, or no data plane runs)"
WAITS = "waits:"  # as the agent says
_log = logging.getLogger(__name__)


class NodeError(Exception):
    """A node did not do what was asked of it."""


@dataclass(frozen=True)
class Nodes:
    """The nodes of one environment."""

    environment: str
    document_prefix: str
    commander: Commander

    def machines(self) -> dict[str, str]:
        """Return the machines that run, by node."""
        return self.commander.machines(self.environment)

    def run(
        self,
        command: str,
        machine: str,
        request: Mapping[str, Any] | None = None,
        *,
        at_most_seconds: float | None = None,
    ) -> Outcome:
        """Have a machine run a command of its agent."""
        outcome = self.commander.run(
            f"{self.document_prefix}{command}",
            machine,
            {} if request is None else packed(request),
            at_most_seconds=waiting_seconds(command) if at_most_seconds is None else at_most_seconds,
        )
        _log.info("%s on %s: %s", command, machine, outcome.detail)
        return outcome

    def configure(self, configuration: Mapping[str, Mapping[str, str]], *, proceed: bool = False) -> dict[str, bool]:
        """Have the nodes that run take up their configurations, one at a time; return which did, and whether they run on it.

        A server that runs on something else takes up what differs only when it starts.

        Args:
            configuration: Where each node's is.
            proceed: Go on to the next node where one does not follow, and raise nothing.

        Raises:
            NotConfiguredError: One does not follow; it, and those after it, have what they had.
        """
        done: dict[str, bool] = {}
        for node, machine in self.machines().items():
            if node not in configuration:
                continue
            outcome = self.run("configure", machine, configuration[node])
            if outcome.succeeded:
                done[node] = not outcome.last_line.startswith(WAITS)
            elif not proceed:
                raise NotConfiguredError(node, outcome.detail, list(done))
        return done

    def any_healthy(self) -> str | None:
        """Return a machine whose server is well, or else one that knows who leads JetStream; None where there is neither.

        One broken consumer makes servers call themselves ill, which must keep nobody from a backup, nor from what mends it.
        """
        able: str | None = None
        for machine in self.machines().values():
            outcome = self.run("status", machine)
            if outcome.succeeded and outcome.answer.get("healthz") == "ok":
                return machine
            if outcome.succeeded and outcome.answer.get("meta_leader"):
                able = able or machine
        return able


class NotConfiguredError(NodeError):
    """A node did not take its configuration up.

    Args:
        node: Which.
        detail: What it said.
        done: Those before it, which did.
    """

    def __init__(self, node: str, detail: str, done: list[str]) -> None:
        super().__init__(f"{node} did not take its configuration up: {detail}")
        self.done = done
