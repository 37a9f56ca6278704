"""What an operator does with the NATS cluster: look, roll, back up, restore, pin the machine image."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog import names
from catalog.environment import Environment
from fleet.account import Account
from fleet.deploy.preflight import MACHINE_IMAGE_PARAMETER
from fleet.errors import InputError, WantingError
from fleet.functions import ask
from fleet.progress import Step

ROLL_SECONDS = 3600
_LOOK_SECONDS = 10.0
_UNDER_WAY = {"Pending", "InProgress", "Waiting", "Cancelling"}


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node in a line."""

    node: str
    machine: str
    health: str
    leader: bool
    routes: int
    is_current: bool
    """Whether it runs on the configuration and the server that the bucket names."""


def task(account: Account, environment: Environment, name: str, **more: Any) -> dict[str, Any]:
    """Have the cluster's function do a task."""
    return ask(account, names.nats_function(environment.name), {"task": name, **more})


def node_rows(told: Mapping[str, Any]) -> list[NodeRow]:
    """Return the nodes that run, as the function's `status` tells of them."""
    wanted = told["wanted"]
    rows = []
    for node, entry in sorted(told["nodes"].items()):
        status = entry["status"] or {}
        configuration = wanted.get("configuration", {}).get(node, {})
        rows.append(
            NodeRow(
                node,
                entry["machine"],
                status.get("healthz") or entry["detail"] or "says nothing",
                status.get("meta_leader") == node,
                len(status.get("routes", ())),
                status.get("configuration_sha256") == configuration.get("sha256")
                and status.get("server_sha256") == wanted.get("server", {}).get("sha256"),
            )
        )
    return rows


def cluster_findings(told: Mapping[str, Any]) -> list[str]:
    """Return what is wanting about the nodes."""
    rows = {row.node: row for row in node_rows(told)}
    findings = [f"{node} has no machine that runs" for node in names.NATS_NODES if node not in rows]
    for row in rows.values():
        if row.health != "ok":
            findings.append(f"{row.node}: {row.health}")
        elif row.routes < len(names.NATS_NODES) - 1:
            findings.append(f"{row.node} sees {row.routes} of {len(names.NATS_NODES) - 1} other nodes")
        if row.health == "ok" and not row.is_current:
            findings.append(f"{row.node} does not run on what the bucket names: deploy, or roll")
    if rows and not any(row.leader for row in rows.values()):
        findings.append("no node is the meta leader: JetStream has no quorum")
    return findings


def roll(
    account: Account,
    environment: Environment,
    step: Step,
    *,
    every: bool,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Start a roll, wait for its end, and return its id.

    Raises:
        InputError: No node answers in the environment.
        WantingError: It did not end well, or not in time.
    """
    if not environment.nats.wait_for_nodes:
        raise InputError(f"no node answers in {environment.name} (nats.wait_for_nodes is false), so nothing was rolled")
    started = account.ssm.start_automation_execution(
        DocumentName=names.nats_roll(environment.name), Parameters={"Every": [str(every).lower()]}
    )
    execution = started["AutomationExecutionId"]
    step.note(f"Systems Manager carries it out: {execution}")
    end = clock() + ROLL_SECONDS
    while clock() < end:
        found = account.ssm.get_automation_execution(AutomationExecutionId=execution)["AutomationExecution"]
        status = found["AutomationExecutionStatus"]
        if status == "Success":
            return execution
        if status not in _UNDER_WAY:
            raise WantingError(f"the roll {execution} ended with {status}: {found.get('FailureMessage', '')}")
        sleep(_LOOK_SECONDS)
    raise WantingError(f"the roll {execution} has not ended after {ROLL_SECONDS} s; it goes on in Systems Manager")


def newest_machine_image(account: Account) -> str:
    """Return the newest Amazon Linux 2023 for the nodes' processor.

    Raises:
        InputError: AWS does not tell.
    """
    try:
        found = account.ssm.get_parameter(Name=MACHINE_IMAGE_PARAMETER)
    except account.ssm.exceptions.ParameterNotFound as error:
        raise InputError(f"{account.region} tells of no machine image ({MACHINE_IMAGE_PARAMETER})") from error
    return found["Parameter"]["Value"]


def retire_unused(account: Account, environment: Environment) -> Sequence[str]:
    """Take away from NATS, and then of the certificates, what no task uses any more; return what is told of it.

    The user goes first: it is what a connection lives by.
    """
    users = task(account, environment, "retire")
    certificates = ask(account, names.certificates_function(environment.name), {})
    return [
        *(f"NATS user {user}" for user in users.get("retired", ())),
        *(f"certificate {place}" for place in certificates.get("retired", ())),
        *([f"nothing: {users['reason']}"] if "reason" in users else []),
    ]
