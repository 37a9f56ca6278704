"""What runs on this machine, serves and is connected, as seen on the wire; on one line, since Systems Manager cuts long answers."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import sys
import zlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from nats_platform.node.deliver_certificates import FAULTS, checksum, shown, trusting
from nats_platform.node.server import EVERYTHING, Monitor, meta_leader, peers, tried
from nats_platform.node.settings import Settings

LONGEST_CHARACTERS = 20_000
_PAGE = 1024


def status(settings: Settings) -> dict[str, Any]:
    """Return everything there is to see; where no server runs, what is installed."""
    machine = settings.machine
    monitor = Monitor(settings.monitor)
    seen: dict[str, Any] = {
        "node": settings.node,
        "agent_sha256": _checksum(Path(sys.argv[0])),
        "trusts": {path.name: checksum(path) for path in sorted(machine.link.glob("*-ca.pem"))},
        "healthz": monitor.fault(EVERYTHING) or "ok",
    }
    pid = machine.pid()
    if pid is None:
        return seen
    varz = monitor.get("/varz")
    clients = _clients(monitor)
    return {
        **seen,
        "server_sha256": Path(f"/proc/{pid}/exe").resolve().parent.name,
        "server_version": varz["version"],
        "configuration_sha256": _loaded(settings, varz["config_digest"]),
        "config_load_time": varz["config_load_time"],
        "meta_leader": meta_leader(monitor),
        "routes": peers(monitor.get("/routez")),
        "serves": dict(_serves(settings, varz)),
        "clients": clients,
        "peers": sorted({fingerprint for shown_by in clients.values() for fingerprint in shown_by}),
    }


def on_a_line(plain: dict[str, Any]) -> str:
    """Return it as JSON; compressed where it would be cut off."""
    text = json.dumps(plain, separators=(",", ":"))
    if len(text) <= LONGEST_CHARACTERS:
        return text
    return json.dumps({"z": base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")})


def _checksum(path: Path) -> str | None:
    return checksum(path) if path.is_file() else None


def _loaded(settings: Settings, digest: str) -> str | None:
    """Return the checksum of the file that the server runs on; None where that file does not hold any more."""
    place = settings.config.resolve()
    return place.stem if tried(settings.program, place) == digest else None


def _clients(monitor: Monitor) -> dict[str, list[str]]:
    """Return the fingerprints that live connections presented, by user."""
    found: dict[str, set[str]] = {}
    offset = 0
    while True:
        page = monitor.get(f"/connz?auth=1&limit={_PAGE}&offset={offset}")
        for connection in page["connections"]:
            certificates = connection.get("tls_peer_certs") or []
            user = str(connection.get("authorized_user", ""))
            found.setdefault(user, set()).update(each["cert_sha256"] for each in certificates[:1])
        offset += _PAGE
        if offset >= page["total"]:
            return {user: sorted(fingerprints) for user, fingerprints in sorted(found.items())}


def _serves(settings: Settings, varz: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what each port serves, as somebody sees it who trusts what this machine trusts."""
    ports = {"server": varz["port"], "route": varz.get("cluster", {}).get("cluster_port")}
    for profile, port in ports.items():
        try:
            context = trusting(settings.machine.link, profile)
            with shown(int(port), settings.tls_name, context, profile) as end:
                told, der = end.getpeercert() or {}, end.getpeercert(binary_form=True) or b""
        except FAULTS as error:
            yield profile, {"error": f"{type(error).__name__}: {error}"}
            continue
        seconds = ssl.cert_time_to_seconds(str(told["notAfter"]))
        not_after = datetime.fromtimestamp(seconds, tz=timezone.utc)
        yield profile, {"fingerprint": hashlib.sha256(der).hexdigest(), "not_after": f"{not_after:%Y-%m-%dT%H:%M:%SZ}"}
