"""One NATS node for tests of the delivery: a real server, a real store, and an `aws` that fetches from that store."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from functions.delivery import delivery_parameter
from tests.certificates import PASSPHRASE, a_request
from tests.ports import free_ports
from tls import DirectoryStore, Issuer, Passphrase, Release, bring_about, pointers, require_record

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "nats_platform" / "node" / "deliver_certificates.py"
NAME = "nats-1"
DOMAIN = "nats.acme.internal"
SERVER_BINARIES = str(Path(sys.executable).parent)
# Fetches what is asked for where the store has that very version, and notes the modes of what it writes and of the folder; and
# the process list, where a test wants that.
AWS = r"""#!/bin/bash
for word in "$@"; do case "$word" in
  --key=*) key=${word#--key=} ;;
  --version-id=*) version=${word#--version-id=} ;;
esac; done
target=${!#}
echo "$key" >> "$ROOT/fetched"
source="$ROOT/store/$key"
if [[ "v-$(sha256sum < "$source" | cut -d' ' -f1)" != "$version" ]]; then
  echo "An error occurred (NoSuchVersion) when calling the GetObject operation" >&2
  exit 254
fi
[[ -e "$ROOT/instead/${key//\//_}" ]] && source="$ROOT/instead/${key//\//_}"
cat "$source" > "$target"
stat -c '%a %n' "$target" "$(dirname "$target")" >> "$ROOT/modes"
if [[ -e "$ROOT/processes" ]]; then cat /proc/[0-9]*/cmdline 2> /dev/null >> "$ROOT/processes" || true; fi
"""


@dataclass
class Node:
    """A node in a folder."""

    root: Path
    client_port: int = field(default_factory=lambda: free_ports(1)[0])
    route_port: int = field(default_factory=lambda: free_ports(1)[0])
    monitor_port: int = field(default_factory=lambda: free_ports(1)[0])
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        (self.root / "bin").mkdir()
        aws = self.root / "bin" / "aws"
        aws.write_text(AWS)
        aws.chmod(0o755)
        (self.root / "instead").mkdir()
        self.config.parent.mkdir()
        self.store = DirectoryStore(self.root / "store")
        self.issue()
        self.write_config()

    @property
    def tls(self) -> Path:
        return self.root / "etc" / "tls"

    @property
    def config(self) -> Path:
        return self.root / "etc" / "nats.conf"

    @property
    def current(self) -> str:
        return str((self.tls / "current").readlink())

    @property
    def releases(self) -> set[str]:
        return {path.name for path in self.tls.glob("release-*")}

    def leftovers(self) -> list[str]:
        """Return what should not be there once a delivery has ended well."""
        kept = {".lock", "current"} | self.releases
        return sorted(
            [path.name for path in self.tls.iterdir() if path.name not in kept]
            + [path.name for path in self.config.parent.iterdir() if path.name not in {"nats.conf", "tls"}]
        )

    def write_config(self, extra: str = "") -> None:
        current = self.tls / "current"
        self.config.write_text(f"""
            server_name: {NAME}
            listen: "127.0.0.1:{self.client_port}"
            http: "127.0.0.1:{self.monitor_port}"
            pid_file: "{self.root}/nats.pid"
            tls {{
              cert_file: "{current}/server-chain.pem"
              key_file: "{current}/server-key.pem"
              ca_file: "{current}/client-ca.pem"
              verify: true
              min_version: "1.3"
              handshake_first: auto
            }}
            cluster {{
              name: test
              listen: "127.0.0.1:{self.route_port}"
              tls {{
                cert_file: "{current}/route-chain.pem"
                key_file: "{current}/route-key.pem"
                ca_file: "{current}/route-ca.pem"
                verify: true
                min_version: "1.3"
              }}
            }}
            {extra}
        """)

    def issue(self, *forced: str) -> None:
        """Issue what is missing, and some anew."""
        issuer = Issuer(self.store, lambda: Passphrase(PASSPHRASE), requester="a test")
        bring_about(issuer, a_request(), forced=forced)

    def renew(self) -> None:
        """Issue both certificates of the node anew."""
        self.issue(f"server/{NAME}/", f"route/{NAME}/")

    def place(self, leaf: str, file: str) -> Path:
        """Return where the store has a file of a leaf."""
        return self.root / "store" / leaf / pointers(self.store)[f"{leaf}/"].version / file

    def serial(self, profile: str = "server") -> int:
        """Return the serial of the certificate that the store has for the node."""
        return int(pointers(self.store)[f"{profile}/{NAME}/"].certificate.serial, 16)

    def plain(self) -> dict[str, Any]:
        """Return what is delivered, with a version id for each file, as a bucket has."""
        release = Release(require_record(self.store).record, pointers(self.store))
        plain: dict[str, Any] = json.loads(base64.b64decode(delivery_parameter(release, NAME)))
        for file in plain["files"].values():
            file["version_id"] = f"v-{file['sha256']}"
        return plain

    def replaced(self, **contents: bytes) -> dict[str, Any]:
        """Return a delivery in which some files have another content, with the right checksum of that."""
        plain = self.plain()
        for name, data in contents.items():
            file = plain["files"][name]
            file["sha256"] = hashlib.sha256(data).hexdigest()
            (self.root / "instead" / file["key"].replace("/", "_")).write_bytes(data)
        return plain

    def variables(self, plain: Mapping[str, Any] | None = None, **changes: str) -> dict[str, str]:
        """Return the environment of the script."""
        return {
            "PATH": f"{self.root}/bin:{SERVER_BINARIES}:/usr/bin:/bin",
            "ROOT": str(self.root),
            "DELIVERY": base64.b64encode(json.dumps(plain or self.plain()).encode()).decode(),
            "BUCKET": "a-bucket",
            "REGION": "eu-west-1",
            "NODE_DOMAIN": DOMAIN,
            "NATS_TLS": str(self.tls),
            "NATS_CONFIG": str(self.config),
            "NATS_PID_FILE": f"{self.root}/nats.pid",
            "NATS_MONITOR": f"http://127.0.0.1:{self.monitor_port}",
            "NATS_OWNER": _own_name(),
            "PROOF_SECONDS": "30",  # a test that waits for what never comes says less
        } | changes

    def deliver(self, plain: Mapping[str, Any] | None = None, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run the script as the node does: from its standard input."""
        with SCRIPT.open("rb") as script:
            return subprocess.run(
                [sys.executable, "-"],
                stdin=script,
                env=self.variables(plain, **changes),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [f"{SERVER_BINARIES}/nats-server", "-c", str(self.config)], stdout=log, stderr=log
            )
        for _ in range(600):
            try:
                self.load_time()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.root / "log").read_text())

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def load_time(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor_port}/varz", timeout=5) as answer:
            return str(json.load(answer)["config_load_time"])

    def client_context(self) -> ssl.SSLContext:
        """Return what the service `orders` connects with."""
        context = ssl.create_default_context(cafile=str(self.bundle("server-ca.pem")))
        context.load_cert_chain(self.place("client/orders", "chain.pem"), self.place("client/orders", "key.pem"))
        return context

    def bundle(self, name: str) -> Path:
        return self.root / "store" / "ca" / "certificates" / require_record(self.store).record.version / name

    def served(self, profile: str = "server") -> int:
        """Return the serial that the wire shows, asked by openssl and not by what is tested."""
        port = self.client_port if profile == "server" else self.route_port
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", f"{NAME}.{DOMAIN}"]
        for _ in range(20):
            shown = subprocess.run(command, input=b"", capture_output=True, timeout=60, check=False).stdout
            if b"BEGIN CERTIFICATE" in shown:
                break  # else openssl was slow to begin, and the server, which waits 50 ms, had greeted it in plain text
        told = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=shown, capture_output=True, check=True)
        return int(told.stdout.decode().strip().removeprefix("serial="), 16)


def _own_name() -> str:
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
