"""The delivery of certificates to a node, with a real server: renewed without losing a connection, and never half done."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.certificate_node import DOMAIN, NAME, SCRIPT, Node
from tests.certificates import PASSPHRASE, Forgery, a_leaf
from tls import Passphrase, Profile, require_record
from tls.authority_store import issuing_signer

pytestmark = pytest.mark.integration

KILLED = -9
# Where a process can end, step by step.
ENDS = (
    ("before", "fetch"),
    ("after", "fetch"),
    ("before", "verify"),
    ("before", "try_config"),
    ("after", "write"),  # of a configuration to try
    ("after", "stage"),
    ("before", "point"),
    ("before", "os.symlink"),
    ("after", "point"),
    ("after", "reload"),
    ("before", "remove_old"),
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node that nothing was delivered to yet."""
    node = Node(tmp_path)
    yield node
    node.stop()


@pytest.fixture
def serving(node: Node) -> Node:
    """A node that serves its first certificates, proved."""
    assert node.deliver().returncode == 0
    node.start()
    assert node.deliver().stdout.startswith("delivered")
    return node


def test_a_node_without_a_server_gets_its_certificates_and_the_server_takes_them_when_it_starts(node: Node) -> None:
    result = node.deliver()

    assert result.returncode == 0, result.stderr
    assert "nats-server does not run, and takes it when it starts" in result.stdout
    node.start()
    assert node.served() == node.serial()


def test_a_node_on_which_nothing_is_installed_yet_gets_its_certificates_too(node: Node) -> None:
    node.config.unlink()

    result = node.deliver(PATH=f"{node.root}/bin:/usr/bin:/bin")

    assert result.returncode == 0, result.stderr
    assert node.current in node.releases


def test_a_second_delivery_fetches_nothing_reloads_nothing_and_succeeds(serving: Node) -> None:
    before = state(serving)

    result = serving.deliver()

    assert result.returncode == 0, result.stderr
    assert result.stdout == f"unchanged: {serving.current}\n"
    assert state(serving) == before


def test_a_renewal_is_served_afterwards_on_both_ports(serving: Node) -> None:
    serving.renew()
    assert serving.served() != serving.serial()

    result = serving.deliver()

    assert result.stdout == f"delivered: {serving.current}\n", result.stderr
    assert serving.served() == serving.serial()
    assert serving.served("route") == serving.serial("route")
    assert serving.leftovers() == []


async def test_no_client_loses_its_connection_by_a_renewal(serving: Node) -> None:
    lost: list[str] = []

    async def note() -> None:
        lost.append("disconnected")

    connection = await nats.connect(
        f"tls://127.0.0.1:{serving.client_port}",
        tls=serving.client_context(),
        tls_hostname=f"{NAME}.{DOMAIN}",
        disconnected_cb=note,
    )
    try:
        subscription = await connection.subscribe("answers")
        serving.renew()
        result = await asyncio.to_thread(serving.deliver)
        await connection.publish("answers", b"still here")
        message = await subscription.next_msg(timeout=5)
    finally:
        await connection.close()

    assert result.returncode == 0, result.stderr
    assert message.data == b"still here"
    assert lost == ["disconnected"]  # by the closing alone


def test_a_bundle_that_changed_is_reloaded_although_the_certificates_are_the_same(serving: Node) -> None:
    loaded = serving.load_time()
    both = serving.bundle("client-ca.pem").read_bytes() + serving.bundle("route-ca.pem").read_bytes()

    result = serving.deliver(serving.replaced(**{"client-ca.pem": both}))

    assert result.stdout.startswith("delivered"), result.stderr
    assert serving.load_time() != loaded


def test_no_file_is_ever_readable_for_others(serving: Node) -> None:
    serving.renew()
    serving.deliver()

    written = (serving.root / "modes").read_text().splitlines()
    assert {line.split()[0] for line in written if line.endswith(".pem")} == {"600"}
    assert {line.split()[0] for line in written if not line.endswith(".pem")} == {"700"}
    for release in serving.tls.glob("release-*"):
        assert oct(release.stat().st_mode)[-3:] == "700"
        assert {oct(file.stat().st_mode)[-3:] for file in release.iterdir()} == {"600"}


def test_what_others_could_have_read_is_fetched_anew(serving: Node) -> None:
    (serving.tls / "current" / "server-key.pem").chmod(0o644)

    assert serving.deliver().stdout.startswith("delivered")
    assert oct((serving.tls / "current" / "server-key.pem").stat().st_mode)[-3:] == "600"


def test_the_last_three_releases_are_kept(serving: Node) -> None:
    for _ in range(4):
        serving.renew()
        assert serving.deliver().returncode == 0

    assert len(serving.releases) == 3
    assert serving.current in serving.releases


def test_the_release_that_holds_is_kept_however_old_it_is(serving: Node) -> None:
    """As after going back to one from before several that were never proved."""
    for number in range(3):
        (serving.tls / f"release-{number}").mkdir()
    (serving.tls / "unproven").write_text(serving.current)

    assert serving.deliver().stdout == f"delivered: {serving.current}\n"

    assert len(serving.releases) == 4
    assert serving.current in serving.releases


def wrong_checksum(node: Node) -> dict[str, Any]:
    plain = node.plain()
    plain["files"]["server-chain.pem"]["sha256"] = "0" * 64
    return plain


def foreign_key(node: Node) -> dict[str, Any]:
    return node.replaced(**{"server-key.pem": node.place("client/orders", "key.pem").read_bytes()})


def client_certificate(node: Node) -> dict[str, Any]:
    pair = {f"route-{file}": node.place("client/orders", file).read_bytes() for file in ("chain.pem", "key.pem")}
    return node.replaced(**pair)


def forged(node: Node, **changes: Any) -> dict[str, Any]:
    """Return a delivery with a server certificate that the right authority signed and that is wrong all the same."""
    authority = require_record(node.store).record.issuer
    signer = issuing_signer(node.store, authority, Profile.SERVER, Passphrase(PASSPHRASE))
    now = datetime.now(UTC)
    times = {"not_before": now - timedelta(minutes=5), "not_after": now + timedelta(days=1)}
    pair = Forgery(a_leaf(Profile.SERVER), signer, **(times | changes)).pair()
    return node.replaced(**{"server-chain.pem": pair.chain_pem, "server-key.pem": pair.key_pem.reveal()})


def expired(node: Node) -> dict[str, Any]:
    now = datetime.now(UTC)
    return forged(node, not_before=now - timedelta(days=31), not_after=now - timedelta(seconds=1))


def for_clients_alone(node: Node) -> dict[str, Any]:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return forged(node, extensions={x509.ExtendedKeyUsage: (usage, False)})


def empty_bundle(node: Node) -> dict[str, Any]:
    return node.replaced(**{"client-ca.pem": b""})


def older_version(node: Node) -> dict[str, Any]:
    plain = node.plain()
    plain["files"]["route-ca.pem"]["version_id"] = "v-gone"
    plain["files"]["route-ca.pem"]["sha256"] = "1" * 64
    return plain


def other_nodes_key(node: Node) -> dict[str, Any]:
    plain = node.plain()
    plain["files"]["server-key.pem"]["key"] = plain["files"]["server-key.pem"]["key"].replace("nats-1", "nats-2")
    return plain


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (wrong_checksum, "has the checksum"),
        (foreign_key, "the server certificate of nats-1.nats.acme.internal does not do: KEY_VALUES_MISMATCH"),
        (client_certificate, "does not do: unable to get local issuer certificate"),
        (expired, "does not do: certificate has expired"),
        (for_clients_alone, "does not do: unsuitable certificate purpose"),
        (empty_bundle, "client-ca.pem holds no certificate"),
        (older_version, "route-ca.pem cannot be fetched: An error occurred (NoSuchVersion)"),
        (other_nodes_key, "is no place for the server-key.pem of nats-1"),
    ],
)
def test_what_is_wrong_is_refused_and_the_old_one_is_served_on(
    serving: Node, spoil: Callable[[Node], dict[str, Any]], reason: str
) -> None:
    served, current = serving.served(), serving.current
    plain = spoil(serving)
    before = state(serving)

    result = serving.deliver(plain)

    assert result.returncode == 1, result.stdout
    assert reason in result.stderr
    assert state(serving, fetched=False) == {**before, "fetched": None}
    assert (serving.served(), serving.current) == (served, current)
    assert serving.leftovers() == []


def test_a_certificate_of_another_name_is_refused(serving: Node) -> None:
    serving.renew()

    result = serving.deliver(NODE_DOMAIN="nats.elsewhere.internal")

    assert result.returncode == 1
    assert "Hostname mismatch" in result.stderr
    assert serving.leftovers() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text + "\nno_such_thing {{\n", "nats-server refuses its configuration"),
        (lambda text: text.replace("/current/", "/elsewhere/"), "takes no certificate from"),
    ],
)
def test_a_configuration_that_the_server_refuses_changes_nothing(
    serving: Node, change: Callable[[str], str], reason: str
) -> None:
    served, current = serving.served(), serving.current
    serving.config.write_text(change(serving.config.read_text()))
    serving.renew()

    result = serving.deliver()

    assert result.returncode == 1
    assert reason in result.stderr
    assert (serving.served(), serving.current) == (served, current)
    assert serving.leftovers() == []


def test_a_reload_that_the_server_refuses_puts_the_old_release_back(serving: Node) -> None:
    """NATS takes a new name only when it starts anew: `-t` finds nothing, and the reload does nothing, without a word."""
    served, current = serving.served(), serving.current
    right = serving.config.read_text()
    serving.config.write_text(right.replace(f"server_name: {NAME}", "server_name: another"))
    serving.renew()

    result = serving.deliver(PROOF_SECONDS="1")

    assert result.returncode == 1
    assert f"did not reload within 1 s: its log says why; {current} is current again" in result.stderr
    assert (serving.served(), serving.current) == (served, current)
    serving.config.write_text(right)
    assert serving.deliver().stdout.startswith("delivered")
    assert serving.served() == serving.serial()
    assert serving.leftovers() == []


def test_what_is_not_served_after_a_reload_is_put_back(serving: Node) -> None:
    """The configuration names the link, and takes its certificates from elsewhere all the same."""
    current, route = serving.current, serving.served("route")
    fixed = serving.tls / "fixed"
    shutil.copytree(serving.tls / current, fixed)
    text = serving.config.read_text().replace("/current/server-", "/fixed/server-")
    serving.config.write_text(text)
    serving.renew()

    result = serving.deliver(PROOF_SECONDS="3")

    assert result.returncode == 1
    assert "serves the server certificate" in result.stderr
    assert result.stderr.endswith(f"{current} is current again\n")
    assert serving.current == current
    assert serving.served("route") == route  # which the server had taken up meanwhile


def test_where_there_was_no_release_before_a_failure_leaves_none(node: Node) -> None:
    """A server that had its certificates from elsewhere is told to take them from us, in a way that it refuses."""
    assert node.deliver().returncode == 0
    (node.tls / node.current).rename(node.tls / "elsewhere")
    (node.tls / "current").unlink()
    right = node.config.read_text()
    node.config.write_text(right.replace("/current/", "/elsewhere/"))
    node.start()
    node.config.write_text(right.replace(f"server_name: {NAME}", "server_name: another"))
    (node.tls / "unproven").unlink()

    result = node.deliver(PROOF_SECONDS="1")

    assert result.returncode == 1
    assert result.stderr.endswith("there was none before to put back\n")
    assert not (node.tls / "current").is_symlink()
    node.config.write_text(right)
    assert node.deliver().stdout.startswith("delivered")
    assert node.served() == node.serial()


def test_a_server_whose_process_is_not_found_is_not_taken_for_none(serving: Node) -> None:
    (serving.root / "nats.pid").unlink()
    serving.renew()

    result = serving.deliver()

    assert result.returncode == 1
    assert "does not name its process" in result.stderr


def test_two_deliveries_at_once_do_not_meet(serving: Node) -> None:
    serving.renew()
    held_up = serving.root / "bin" / "aws"
    wait = 'while [[ ! -e "$ROOT/go_on" ]]; do sleep 0.05; done'
    held_up.write_text(held_up.read_text().replace("#!/bin/bash\n", f"#!/bin/bash\n{wait}\n"))
    with (
        SCRIPT.open("rb") as script,
        subprocess.Popen(
            [sys.executable, "-"], stdin=script, env=serving.variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as first,
    ):
        try:
            while not list(serving.tls.glob(".new-*")):
                assert first.poll() is None
                time.sleep(0.01)
            second = serving.deliver()
        finally:
            (serving.root / "go_on").touch()
        first.communicate(timeout=30)

    assert second.returncode == 1
    assert "another delivery is under way" in second.stderr
    assert first.returncode == 0


@pytest.mark.parametrize(("moment", "step"), ENDS)
def test_a_delivery_that_was_killed_anywhere_is_completed_by_the_next(serving: Node, moment: str, step: str) -> None:
    serving.renew()
    before = serving.served()

    killed = deliver_and_die(serving, step, moment)

    assert killed.returncode == KILLED, killed.stderr
    assert serving.served() in {before, serving.serial()}
    assert serving.current in serving.releases
    result = serving.deliver()
    assert result.returncode == 0, result.stderr
    assert serving.served() == serving.serial()
    assert serving.served("route") == serving.serial("route")
    assert serving.leftovers() == []
    assert serving.deliver().stdout.startswith("unchanged")


def test_after_a_kill_a_release_that_fails_goes_back_to_the_last_one_that_was_proved(serving: Node) -> None:
    proved = serving.current
    serving.renew()
    assert deliver_and_die(serving, "reload", "before").returncode == KILLED
    assert serving.current != proved
    serving.config.write_text(serving.config.read_text().replace(f"server_name: {NAME}", "server_name: another"))

    result = serving.deliver(PROOF_SECONDS="1")

    assert result.returncode == 1
    assert serving.current == proved


@pytest.mark.parametrize("state", ["good", "refused"])
def test_no_key_is_in_output_process_list_parameters_or_the_servers_log(serving: Node, state: str) -> None:
    (serving.root / "processes").touch()
    serving.renew()
    if state == "refused":
        serving.config.write_text(serving.config.read_text() + "\nno_such_thing {{\n")

    result = serving.deliver()

    assert (result.returncode == 0) is (state == "good")
    processes = (serving.root / "processes").read_bytes().decode(errors="replace")
    assert f"--key=server/{NAME}/" in processes  # it was looked at while it worked
    told = [result.stdout, result.stderr, processes, *serving.variables().values(), (serving.root / "log").read_text()]
    keys = [serving.place(f"{profile}/{NAME}", "key.pem").read_text() for profile in ("server", "route")]
    secrets = ["PRIVATE KEY", *(line for key in keys for line in key.splitlines()[1:-1])]
    assert [secret for secret in secrets if secret in "".join(told)] == []


@pytest.mark.parametrize("step", ["fetch", "write", "point"])
def test_a_full_disk_leaves_what_is_served_and_the_next_delivery_completes(serving: Node, step: str) -> None:
    serving.renew()
    served, current = serving.served(), serving.current

    failed = deliver_with(
        serving,
        f"""
def full(*_):
    raise OSError(28, "No space left on device")
script.{step} = full
""",
    )

    assert failed.returncode == 1
    assert failed.stderr.startswith("FAILED: OSError: [Errno 28] No space left on device"), failed.stderr
    assert (serving.served(), serving.current) == (served, current)
    assert serving.deliver().stdout.startswith("delivered")
    assert serving.served() == serving.serial()
    assert serving.leftovers() == []


def test_a_release_is_the_servers_and_on_the_disk_before_it_gets_its_name(serving: Node) -> None:
    """Else a power failure could leave a release, or a link to one, that is half there."""
    serving.renew()

    result = deliver_with(
        serving,
        f"""
import pathlib
synced, owned = set(), {{}}
sync, rename, replace = os.fsync, pathlib.Path.rename, pathlib.Path.replace

def noted_sync(descriptor):
    synced.add(os.fstat(descriptor).st_ino)
    sync(descriptor)

def noted_rename(self, target):
    for path in (self, *self.iterdir()):
        assert path.stat().st_ino in synced, f"{{path}} is not synced"
        assert path in owned, f"{{path}} is nobody's"
    rename(self, target)
    synced.discard(target.parent.stat().st_ino)

def noted_replace(self, target):
    folder = target.parent.stat().st_ino
    if target.name == "current":
        assert folder in synced, "the release's name is not synced"
    else:
        assert self.stat().st_ino in synced, f"{{self}} is not synced"
    replace(self, target)
    synced.discard(folder)

def noted_reload(*_):
    assert pathlib.Path({str(serving.tls)!r}).stat().st_ino in synced, "the link is not synced"
    reload(*_)

os.fsync, pathlib.Path.rename, pathlib.Path.replace = noted_sync, noted_rename, noted_replace
os.chown = lambda path, user, group: owned.update({{path: (user, group)}})
reload, script.reload = script.reload, noted_reload
""",
    )

    assert result.stdout.startswith("delivered"), result.stderr


def deliver_and_die(node: Node, step: str, moment: str) -> subprocess.CompletedProcess[str]:
    """Run the script, and kill it before or after one of its functions is first called."""
    return deliver_with(
        node,
        f"""
original = script.{step}
def dying(*arguments):
    if {moment!r} == "after":
        original(*arguments)
    os.kill(os.getpid(), 9)
script.{step} = dying
""",
    )


def deliver_with(node: Node, change: str) -> subprocess.CompletedProcess[str]:
    """Run the script after a change to it."""
    driver = f"""
import os, sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import deliver_certificates as script
{change}
sys.exit(script.main())
"""
    return subprocess.run(
        [sys.executable, "-c", driver], env=node.variables(), capture_output=True, text=True, timeout=60, check=False
    )


def state(node: Node, *, fetched: bool = True) -> dict[str, Any]:
    """Return everything that a delivery could change."""
    files = [path for path in node.tls.rglob("*") if path.is_file() and path.name != ".lock"]
    return {
        "current": node.current,
        "files": {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in files},
        "loaded": node.load_time(),
        "fetched": (node.root / "fetched").read_text() if fetched else None,
    }
