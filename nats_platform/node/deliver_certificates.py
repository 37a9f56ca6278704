"""Gives a NATS node its certificates. Runs on the node, as root, by way of SSM; a second run changes nothing.

It stands alone: python3 (3.9, which Amazon Linux 2023 has, and nothing but its standard library) and the AWS command line. What to
fetch comes in DELIVERY, as base64 of JSON: `node`, and `files` with key, version id and checksum by the name that each gets here.

    TLS/release-…/   one release: two chains, two keys, three bundles; 0700 and 0600, the server's user's
    TLS/current      a link to the one that holds, switched by a rename
    TLS/unproven     there from before the switch until the proof: the release to go back to

NATS takes an expired certificate or one of another node without a word and refuses its clients then, and a reload that it refuses
looks like one that it took. So everything is tried here first, by the handshakes that it is for, and proved afterwards.
"""  # fmt: skip

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER_NAME = "nats-server"
# Each file's name here, and what its key in the bucket has to look like for a node.
FILES = {
    "server-chain.pem": r"server/{node}/[0-9A-Za-z-]+/chain\.pem",
    "server-key.pem": r"server/{node}/[0-9A-Za-z-]+/key\.pem",
    "route-chain.pem": r"route/{node}/[0-9A-Za-z-]+/chain\.pem",
    "route-key.pem": r"route/{node}/[0-9A-Za-z-]+/key\.pem",
    "server-ca.pem": r"ca/certificates/[0-9A-Za-z-]+/server-ca\.pem",
    "client-ca.pem": r"ca/certificates/[0-9A-Za-z-]+/client-ca\.pem",
    "route-ca.pem": r"ca/certificates/[0-9A-Za-z-]+/route-ca\.pem",
}
KEPT_RELEASES = 3
FETCH_SECONDS = 30
ANSWER_SECONDS = 5
PARTIAL_CHAIN = (
    0x80000  # X509_V_FLAG_PARTIAL_CHAIN, which ssl names from Python 3.10 on: nodes trust issuers, not roots
)


class RefusedError(Exception):
    """The delivery ends here, and why."""


FAULTS = (RefusedError, OSError, KeyError, ValueError, subprocess.SubprocessError)


@dataclass(frozen=True)
class File:
    """A file of the bucket, by what cannot change of it."""

    key: str
    version_id: str
    sha256: str


@dataclass(frozen=True)
class Machine:
    """Where things are on this machine."""

    bucket: str
    region: str
    domain: str
    tls: Path
    config: Path
    pid_file: Path
    monitor: str
    owner: str
    proof_seconds: float

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Machine:
        """Read what the SSM document says; the rest is the same on every node, and another only in tests."""
        return cls(
            bucket=variables["BUCKET"],
            region=variables["REGION"],
            domain=variables["NODE_DOMAIN"],
            tls=Path(variables.get("NATS_TLS", "/etc/nats/tls")),
            config=Path(variables.get("NATS_CONFIG", "/etc/nats/nats.conf")),
            pid_file=Path(variables.get("NATS_PID_FILE", "/run/nats/nats.pid")),
            monitor=variables.get("NATS_MONITOR", "http://127.0.0.1:8222"),
            owner=variables.get("NATS_OWNER", "nats"),
            proof_seconds=float(variables.get("PROOF_SECONDS", "15")),
        )

    @property
    def link(self) -> Path:
        """What names the release that holds."""
        return self.tls / "current"

    @property
    def unproven(self) -> Path:
        """What names the release to go back to, while the one that holds is not proved."""
        return self.tls / "unproven"

    def current(self) -> str:
        """Return the release that holds; empty where there is none."""
        return str(self.link.readlink()) if self.link.is_symlink() else ""

    def pid(self) -> int | None:
        """Return the server's process; None where it does not run."""
        try:
            pid = int(self.pid_file.read_text(encoding="ascii"))
            runs = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == SERVER_NAME
        except (FileNotFoundError, ProcessLookupError, ValueError):
            runs = False
        if runs:
            return pid
        with contextlib.suppress(OSError):
            self.varz()
            raise RefusedError(f"a server answers at {self.monitor}, and {self.pid_file} does not name its process")
        return None

    def varz(self) -> dict[str, Any]:
        """Return what the server tells of itself."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{self.monitor}/varz", timeout=ANSWER_SECONDS) as answer:
            told: dict[str, Any] = json.load(answer)
        return told


@dataclass(frozen=True)
class Release:
    """What is to be delivered."""

    node: str
    files: dict[str, File]

    @classmethod
    def read(cls, text: str) -> Release:
        """Read it, and refuse what asks for anything but this node's own files."""
        try:
            plain = json.loads(base64.b64decode(text, validate=True))
            node = str(plain["node"])
            files = {
                str(name): File(str(file["key"]), str(file["version_id"]), str(file["sha256"]))
                for name, file in plain["files"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RefusedError(f"DELIVERY holds no release: {type(error).__name__}: {error}") from error
        if not re.fullmatch("[a-z][a-z0-9-]*", node) or set(files) != set(FILES):
            raise RefusedError(f"DELIVERY names the node {node!r} and the files {', '.join(sorted(files))}")
        for name, file in files.items():
            if not re.fullmatch(FILES[name].format(node=node), file.key):
                raise RefusedError(f"{file.key!r} is no place for the {name} of {node}")
        return cls(node, files)

    @property
    def name(self) -> str:
        """Return a name that says what is in it."""
        content = "".join(f"{name} {self.files[name].sha256}\n" for name in sorted(self.files))
        return f"release-{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def main() -> int:
    """Deliver; say on one line how it ended."""
    os.umask(0o077)  # nothing here may ever be readable for others, not for a moment either
    try:
        machine, release = Machine.read(os.environ), Release.read(os.environ["DELIVERY"])
        for folder in (machine.tls.parent, machine.tls):
            if not folder.is_dir():
                folder.mkdir(mode=0o755)
                folder.chmod(0o755)  # the server passes through; root alone puts anything here
        with alone(machine):
            outcome = deliver(machine, release)
    except FAULTS as error:
        told = str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"
        sys.stderr.write(f"FAILED: {told}\n")
        return 1
    sys.stdout.write(f"{outcome}\n")
    return 0


@contextlib.contextmanager
def alone(machine: Machine) -> Iterator[None]:
    """Keep every other delivery to this node out; a process that dies lets go."""
    with (machine.tls / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError("another delivery is under way") from error
        yield


def deliver(machine: Machine, release: Release) -> str:
    """Bring the release about, from wherever an earlier run ended."""
    for leftover in (*machine.tls.glob(".new-*"), *machine.config.parent.glob(f".{machine.config.name}-*")):
        remove(leftover)
    pid, place = machine.pid(), machine.tls / release.name
    if is_whole(machine, release, place):
        serials = verify(machine, release, place)
        if machine.current() == release.name:
            if pid is None:
                return f"unchanged: {release.name}; {SERVER_NAME} does not run"
            if not machine.unproven.exists() and not unserved(machine, release, serials):
                return f"unchanged: {release.name}"
        try_config(machine, place)
    else:
        serials = stage(machine, release, place)
    back = machine.unproven.read_text(encoding="utf-8") if machine.unproven.exists() else machine.current()
    write(machine.unproven, back)
    point(machine, release.name)
    if pid is None:
        # It stays unproven: a server that starts at this moment may have read the release before.
        return f"staged: {release.name}; {SERVER_NAME} does not run, and takes it when it starts"
    try:
        reload(machine, pid)
        wait_until_served(machine, release, serials)
    except FAULTS as error:
        raise RefusedError(f"{error}; {put_back(machine, pid, back)}") from error
    machine.unproven.unlink()
    remove_old(machine)
    return f"delivered: {release.name}"


def is_whole(machine: Machine, release: Release, place: Path) -> bool:
    """Tell whether a release is there, as it was fetched and out of others' reach."""
    owner = pwd.getpwnam(machine.owner).pw_uid
    paths = [place, *(place / name for name in release.files)]
    if not all(path.exists() for path in paths):
        return False
    states = [path.lstat() for path in paths]
    return (
        all(state.st_uid == owner for state in states)
        and [stat.S_IMODE(state.st_mode) for state in states] == [0o700] + [0o600] * len(release.files)
        and all(checksum(place / name) == file.sha256 for name, file in release.files.items())
    )


def stage(machine: Machine, release: Release, place: Path) -> dict[str, str]:
    """Fetch a release, try it, and only then give it its name; return the serials of its certificates."""
    owner = pwd.getpwnam(machine.owner)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=machine.tls))
    try:
        for name, file in release.files.items():
            fetch(machine, file, new / name)
        serials = verify(machine, release, new)
        for path in (*new.iterdir(), new):
            os.chown(path, owner.pw_uid, owner.pw_gid)
            sync(path)
        try_config(machine, new)
        if place.exists():  # damaged; the server has long read it
            place.rename(Path(tempfile.mkdtemp(prefix=".new-", dir=machine.tls)) / "damaged")
        new.rename(place)
        sync(machine.tls)
    finally:
        for leftover in machine.tls.glob(".new-*"):
            remove(leftover)
    return serials


def fetch(machine: Machine, file: File, path: Path) -> None:
    """Fetch one version of one file."""
    command = ["aws", "s3api", "get-object", "--region", machine.region, "--bucket", machine.bucket]
    command += [f"--key={file.key}", f"--version-id={file.version_id}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    if done.returncode != 0:
        raise RefusedError(f"{file.key} cannot be fetched: {last_line(done.stderr)}")
    if (found := checksum(path)) != file.sha256:
        raise RefusedError(f"{file.key} has the checksum {found}, not {file.sha256}")


def verify(machine: Machine, release: Release, place: Path) -> dict[str, str]:
    """Try the handshakes that the release is for; return the serials by profile.

    A handshake in memory asks all at once: key and chain match, dates, name, usage, and a signer that the others trust.
    """
    name = f"{release.node}.{machine.domain}"
    serials = {}
    for profile in ("server", "route"):
        try:
            accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            present(accepting, place, profile)
            asking = trusting(place, profile)
            if profile == "route":  # nodes are each other's clients
                present(asking, place, profile)
                accepting.load_verify_locations(place / "route-ca.pem")
                accepting.verify_mode = ssl.CERT_REQUIRED
                accepting.verify_flags |= PARTIAL_CHAIN
            serials[profile] = handshake(accepting, asking, name)
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", None) or error.reason or error
            raise RefusedError(f"the {profile} certificate of {name} does not do: {reason}") from error
    bundle = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        bundle.load_verify_locations(place / "client-ca.pem")
    except ssl.SSLError as error:
        raise RefusedError(f"client-ca.pem holds no certificate: {error.reason}") from error
    return serials


def present(context: ssl.SSLContext, place: Path, profile: str) -> None:
    """Load a pair; a key that is encrypted is an error, and no question at a terminal."""
    context.load_cert_chain(place / f"{profile}-chain.pem", place / f"{profile}-key.pem", password="")


def trusting(place: Path, profile: str) -> ssl.SSLContext:
    """Return what somebody has who connects to a node."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(place / f"{profile}-ca.pem")
    if profile == "route":
        context.verify_flags |= PARTIAL_CHAIN
    return context


def handshake(accepting: ssl.SSLContext, asking: ssl.SSLContext, name: str) -> str:
    """Let two ends shake hands in memory; return the serial that the accepting one showed."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(back, there, server_hostname=name)
    server = accepting.wrap_bio(there, back, server_side=True)
    waiting = [client, server]
    while waiting:
        for side in tuple(waiting):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
                waiting.remove(side)
    return serial_of(client)


def serial_of(end: ssl.SSLObject | ssl.SSLSocket) -> str:
    """Return the serial that the other end showed."""
    return str((end.getpeercert() or {})["serialNumber"])


def try_config(machine: Machine, place: Path) -> None:
    """Have the server read its configuration with the new files, as far as both are there yet."""
    program = shutil.which(SERVER_NAME)
    if program is None or not machine.config.exists():
        return
    text = machine.config.read_text(encoding="utf-8")
    if f"{machine.link}/" not in text:
        raise RefusedError(f"{machine.config} takes no certificate from {machine.link}")
    # Beside the real one, since what it includes is looked for there.
    copy = machine.config.with_name(f".{machine.config.name}-{os.getpid()}")
    try:
        write(copy, text.replace(f"{machine.link}/", f"{place}/"))
        done = subprocess.run(
            [program, "-t", "-c", str(copy)], capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
        )
    finally:
        remove(copy)
    if done.returncode != 0:
        raise RefusedError(f"{SERVER_NAME} refuses its configuration: {last_line(done.stderr + done.stdout)}")


def point(machine: Machine, release: str) -> None:
    """Make a release the current one, in one step."""
    new = machine.tls / ".new-link"
    new.symlink_to(release)
    new.replace(machine.link)
    sync(machine.tls)


def reload(machine: Machine, pid: int) -> None:
    """Have the server read its files, and wait until it has: a refused reload leaves the time of the last one."""
    before = machine.varz()["config_load_time"]
    os.kill(pid, signal.SIGHUP)
    end = time.monotonic() + machine.proof_seconds
    while machine.varz()["config_load_time"] == before:
        if time.monotonic() > end:
            raise RefusedError(f"{SERVER_NAME} did not reload within {machine.proof_seconds:g} s: its log says why")
        time.sleep(0.1)


def wait_until_served(machine: Machine, release: Release, serials: Mapping[str, str]) -> None:
    """Wait until the wire shows what was delivered."""
    end = time.monotonic() + machine.proof_seconds
    while missing := unserved(machine, release, serials):
        if time.monotonic() > end:
            raise RefusedError(missing)
        time.sleep(0.1)


def unserved(machine: Machine, release: Release, serials: Mapping[str, str]) -> str:
    """Return what is wrong with what is served; empty where it is the release's."""
    varz, place = machine.varz(), machine.tls / release.name
    ports = {"server": varz["port"], "route": varz.get("cluster", {}).get("cluster_port")}
    for profile, port in ports.items():
        if port is None:
            continue  # a server on its own
        try:
            found = served(int(port), f"{release.node}.{machine.domain}", trusting(place, profile), profile)
        except OSError as error:
            return f"port {port} does not serve the {profile} certificate: {error}"
        if found != serials[profile]:
            return f"port {port} serves the {profile} certificate {found}, not {serials[profile]}"
    return ""


def served(port: int, name: str, context: ssl.SSLContext, profile: str) -> str:
    """Return the serial that a port shows."""
    with shown(port, name, context, profile) as end:
        return serial_of(end)


@contextlib.contextmanager
def shown(port: int, name: str, context: ssl.SSLContext, profile: str) -> Iterator[ssl.SSLSocket]:
    """Have a connection to a port that has shown its certificate; what we would have to show comes after that, and we do not."""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as plain:
        if profile == "server":  # it greets first, and speaks TLS after that line
            with plain.makefile("rb", buffering=0) as greeting:
                greeting.readline()
        with context.wrap_socket(plain, server_hostname=name) as wrapped:
            yield wrapped


def put_back(machine: Machine, pid: int, back: str) -> str:
    """Make the release that was there before the current one again; say how that went."""
    if not back:
        machine.link.unlink()
        return "there was none before to put back"
    point(machine, back)
    try:
        reload(machine, pid)
    except FAULTS as error:
        return f"{back} is current again, but: {error}"
    machine.unproven.unlink()
    return f"{back} is current again"


def remove_old(machine: Machine) -> None:
    """Keep the last few releases."""
    releases = sorted(machine.tls.glob("release-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in releases[KEPT_RELEASES:]:
        if path.name != machine.current():
            remove(path)


def write(path: Path, text: str) -> None:
    """Write a file at once, or not at all, so that it outlives the machine's power."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    sync(new)
    new.replace(path)
    sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have the disk hold what was written."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def last_line(text: str) -> str:
    """Return the line that says what went wrong."""
    return (text.strip().splitlines() or ["it said nothing"])[-1]


if __name__ == "__main__":
    sys.exit(main())
