"""What a machine knows of itself: who it is, where things come from, and where they are here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nats_platform.node.deliver_certificates import SERVER_NAME, Machine, RefusedError

PROVISIONER = "provisioner"
BACKUPS = "backups/"
LATEST_BACKUP = f"{BACKUPS}latest.json"
ENVIRONMENT_FILE = "etc/nats/agent.env"
_VARIABLES = ("NODE", "NODES", "ENVIRONMENT", "REGION", "BUCKET", "CERTIFICATES_BUCKET", "NODE_DOMAIN", "LOG_GROUP")


@dataclass(frozen=True)
class Settings:
    """One machine, by what its user data wrote into `agent.env`."""

    root: Path
    """The root of the file system; another one only in tests."""
    node: str
    nodes: tuple[str, ...]
    environment: str
    region: str
    bucket: str
    """The bucket of the cluster: what is to be installed, and the backups."""
    certificates_bucket: str
    domain: str
    log_group: str
    """Where metrics are written."""
    monitor: str = "http://127.0.0.1:8222"
    client_port: int = 4222
    owner: str = "nats"
    """The user that the server runs as."""
    proof_seconds: float = 15.0
    """How long a server may take to show that it took up what it was given."""
    gate_span_seconds: float = 10.0
    """How long all must have been well without a break for the gate to open."""

    @classmethod
    def told(cls, variables: Mapping[str, str]) -> Settings:
        """Read what the environment says.

        Raises:
            RefusedError: They do not say everything.
        """
        if missing := [name for name in _VARIABLES if not variables.get(name)]:
            raise RefusedError(f"the environment does not say {', '.join(missing)}")
        return cls(
            root=Path(variables.get("ROOT", "/")),
            node=variables["NODE"],
            nodes=tuple(variables["NODES"].split()),
            environment=variables["ENVIRONMENT"],
            region=variables["REGION"],
            bucket=variables["BUCKET"],
            certificates_bucket=variables["CERTIFICATES_BUCKET"],
            domain=variables["NODE_DOMAIN"],
            log_group=variables["LOG_GROUP"],
            monitor=variables.get("NATS_MONITOR", cls.monitor),
            client_port=int(variables.get("NATS_CLIENT_PORT", cls.client_port)),
            owner=variables.get("NATS_OWNER", cls.owner),
            proof_seconds=float(variables.get("PROOF_SECONDS", cls.proof_seconds)),
            gate_span_seconds=float(variables.get("GATE_SPAN_SECONDS", cls.gate_span_seconds)),
        )

    @property
    def machine(self) -> Machine:
        """What the delivery of certificates works on."""
        return Machine(
            bucket=self.certificates_bucket,
            region=self.region,
            domain=self.domain,
            tls=self.root / "etc/nats/tls",
            config=self.config,
            pid_file=self.root / "run/nats/nats.pid",
            monitor=self.monitor,
            owner=self.owner,
            proof_seconds=self.proof_seconds,
        )

    @property
    def config(self) -> Path:
        """The configuration that the server reads: a link to the one that holds."""
        return self.root / "etc/nats/nats.conf"

    @property
    def installed(self) -> Path:
        """Where the server's releases and the agents are."""
        return self.root / "opt/nats"

    @property
    def program(self) -> Path:
        """The server's program: by a link to the release that holds."""
        return self.installed / "current" / SERVER_NAME

    @property
    def data(self) -> Path:
        """Where the data disk is mounted."""
        return self.root / "var/lib/nats"

    @property
    def state(self) -> Path:
        """What is forgotten when the machine restarts."""
        return self.root / "run/nats-agent"

    @property
    def tls_name(self) -> str:
        """The name in this node's certificates."""
        return f"{self.node}.{self.domain}"
