"""The shell that NATS machines run: at their first boot, and with each command of Systems Manager."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nats_platform
from catalog import names
from catalog.environment import Environment
from fleet_constructs.arns import account

SCRIPTS = Path(nats_platform.__file__).parent
AGENT_ENV = "/etc/nats/agent.env"
METRICS_NAMESPACE = "GamingSystem"
END = "END_OF_SCRIPT"


def run_agent(*arguments: str) -> str:
    """Return the shell that fetches the agent and has it run a command."""
    script = (SCRIPTS / "run_agent.sh").read_text(encoding="utf-8")
    return f"bash -s -- {' '.join(arguments)} <<'{END}'\n{script}{END}"


def boot(environment: Environment, node: str, *, address_id: str, disk_id: str) -> list[str]:
    """Return what a machine does first: take its slot, note who it is, fetch the agent and have it do the rest.

    It says which slot and nothing that changes, so that no edit of the catalog and no new server replaces a machine.
    """
    return [
        f"export NODE={node} REGION={environment.region} ADDRESS_ID={address_id} DISK_ID={disk_id}",
        (SCRIPTS / "slot.sh").read_text(encoding="utf-8"),
        _note(_machine(environment, node)),
        run_agent("boot"),
    ]


def _machine(environment: Environment, node: str) -> Mapping[str, str]:
    return {
        "NODE": node,
        "NODES": f"'{' '.join(names.NATS_NODES)}'",
        "REGION": environment.region,
        "ENVIRONMENT": environment.name,
        "BUCKET": names.nats_bucket(environment.name, account(), environment.region),
        "CERTIFICATES_BUCKET": names.certificates_bucket(environment.name, account(), environment.region),
        "NODE_DOMAIN": names.NATS_DOMAIN,
        "LOG_GROUP": names.nats_log_group(environment.name),
    }


def _note(variables: Mapping[str, str]) -> str:
    """Return the shell that writes down who a machine is; by a rename, so that nobody reads half of it."""
    lines = "\n".join(f"{name}={value}" for name, value in variables.items())
    return (
        f"mkdir -p {AGENT_ENV.rpartition('/')[0]}\n"
        f"cat >{AGENT_ENV}.new <<'END_OF_FILE'\n{lines}\nEND_OF_FILE\n"
        f"mv {AGENT_ENV}.new {AGENT_ENV}"
    )
