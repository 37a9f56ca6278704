"""`python -m tls` in this process: what it prints, where to, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.certificates import PASSPHRASE, plain_request
from tests.rollovers import all_on
from tls import DirectoryStore, Observations
from tls.cli import app

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLEET_CA_PASSPHRASE", PASSPHRASE)
    write_request(tmp_path)
    return tmp_path


def write_request(folder: Path, **changes: Any) -> None:
    (folder / "request.json").write_text(json.dumps(plain_request(**changes)), encoding="utf-8")


def run(folder: Path, *arguments: str, request: bool = True) -> Result:
    options = ["--store", str(folder / "store")]
    options += ["--request", str(folder / "request.json")] if request else []
    return CliRunner().invoke(app, [*arguments, *options])


def as_json(result: Result, code: int = 0) -> Any:
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout)


def write_observations(folder: Path) -> None:
    seen: Observations = all_on(DirectoryStore(folder / "store"), datetime.now(UTC))
    plain = {
        "taken_at": seen.taken_at.isoformat(),
        "consumers": [
            {
                "name": consumer.name,
                "serves": {
                    str(profile): {"fingerprint": served.fingerprint, "not_after": served.not_after.isoformat()}
                    for profile, served in consumer.serves.items()
                },
                "trusts": dict(consumer.trusts),
                "peers": consumer.peers,
            }
            for consumer in seen.consumers
        ],
    }
    (folder / "seen.json").write_text(json.dumps(plain), encoding="utf-8")


def test_issue_then_nothing_more_to_do(folder: Path) -> None:
    result = run(folder, "issue", "--dry-run")
    assert result.exit_code == 0
    assert "5 certificates would be issued" in result.stdout
    assert not (folder / "store").exists()
    result = run(folder, "issue")
    assert result.exit_code == 0
    assert "5 certificates issued, 0 unchanged" in result.stdout
    assert "publish: 5 certificates" in result.stderr
    report = as_json(run(folder, "issue", "--format", "json"))
    assert (report["changed"], report["unchanged"]) == (False, 5)
    assert run(folder, "verify").stdout == "5 certificates are as they should be\n"


def test_renew_names_what_or_all(folder: Path) -> None:
    run(folder, "issue")
    assert run(folder, "renew").exit_code == 2
    assert run(folder, "renew", "--all", "client/orders").exit_code == 2
    report = as_json(run(folder, "renew", "client/orders", "--format", "json"))
    assert [leaf["place"] for leaf in report["issued"]] == ["client/orders/"]
    assert len(as_json(run(folder, "renew", "--all", "--format", "json"))["issued"]) == 5


def test_status_for_people_and_for_machines(folder: Path) -> None:
    assert run(folder, "status").exit_code == 1
    run(folder, "issue")
    result = run(folder, "status", request=False)
    assert result.exit_code == 0
    assert "test in" in result.stdout
    assert "30.0" in result.stdout
    write_observations(folder)
    status = as_json(run(folder, "status", "--observations", str(folder / "seen.json"), "--format", "json"))
    assert status["findings"] == []
    assert len(status["metrics"]) == 8


def test_verify_finds_what_is_damaged(folder: Path) -> None:
    run(folder, "issue")
    next((folder / "store/client/orders").glob("*/chain.pem")).unlink()
    found = as_json(run(folder, "verify", "--format", "json"), code=1)
    assert "is not there" in found["findings"][0]


def test_publish_to_another_store(folder: Path) -> None:
    run(folder, "issue")
    target = str(folder / "target")
    assert "5 certificates would be published" in run(folder, "publish", "--to", target, "--dry-run").stdout
    assert len(as_json(run(folder, "publish", "--to", target, "--format", "json"))["published"]) == 5
    assert not (folder / "target/ca/private").exists()


def test_retire_what_is_unused(folder: Path) -> None:
    run(folder, "issue")
    assert run(folder, "retire").stdout == "nothing to retire\n"
    write_request(folder, services=["orders"])
    assert "kept, since nobody said" in run(folder, "retire").stdout
    assert run(folder, "retire", "--unused", "client/payments").stdout == "client/payments/: retired\n"


def test_a_whole_rollover_by_hand(folder: Path) -> None:
    run(folder, "issue")
    assert as_json(run(folder, "rollover", "begin", "--format", "json"))["phase"] == "trust-both"
    seen = ("--observations", str(folder / "seen.json"))
    assert run(folder, "rollover", "advance", "--to", "issue-by-new", request=False).exit_code == 2
    for to in ("issue-by-new", "nobody-on-old", "steady"):
        write_observations(folder)
        assert f"phase {to}" in run(folder, "rollover", "advance", "--to", to, *seen, request=False).stdout
        assert run(folder, "issue").exit_code == 0
    assert run(folder, "rollover", "back", request=False).exit_code == 2
    assert run(folder, "verify").exit_code == 0


def test_a_gate_that_is_shut_ends_with_one_and_says_why(folder: Path) -> None:
    run(folder, "issue")
    write_observations(folder)
    run(folder, "rollover", "begin", "--keep-root")
    result = run(
        folder,
        "rollover",
        "advance",
        "--to",
        "issue-by-new",
        "--observations",
        str(folder / "seen.json"),
        request=False,
    )
    assert result.exit_code == 1
    assert "error: the phase issue-by-new may not begin yet" in result.stderr
    assert result.stdout == ""


def test_the_root_key_offline_and_back(folder: Path) -> None:
    run(folder, "issue")
    file = str(folder / "root.enc")
    assert as_json(run(folder, "root", "export", file, "--format", "json", request=False)) == {"exported": file}
    assert "offline now" in run(folder, "root", "remove", file, request=False).stdout
    assert "offline already" in run(folder, "root", "remove", file, request=False).stdout
    assert "root's key offline" in run(folder, "status").stdout
    assert "online again" in run(folder, "root", "restore", file, request=False).stdout
    assert "online already" in run(folder, "root", "restore", file, request=False).stdout


def test_bad_input_ends_with_two_and_without_a_traceback(folder: Path) -> None:
    write_request(folder, services=["A", "A"])
    result = run(folder, "issue")
    assert result.exit_code == 2
    assert result.stderr.count(": services[") == 3
    assert result.stdout == ""
    for store in ("http://x", "s3://", "s3://a/b"):
        result = CliRunner().invoke(app, ["status", "--store", store])
        assert result.exit_code == 2
        assert "error:" in result.stderr


def test_a_missing_or_short_passphrase_ends_with_two(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEET_CA_PASSPHRASE")
    result = run(folder, "issue")
    assert result.exit_code == 2
    assert "set FLEET_CA_PASSPHRASE" in result.stderr
    monkeypatch.setenv("FLEET_CA_PASSPHRASE", "short")
    result = run(folder, "issue")
    assert result.exit_code == 2
    assert "'short'" not in result.stderr


def test_a_terminal_is_asked_for_the_passphrase_of_a_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEET_CA_PASSPHRASE")
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return PASSPHRASE

    monkeypatch.setattr("tls.cli_inputs.getpass.getpass", answer)
    monkeypatch.setattr("tls.cli_inputs._is_terminal", lambda: True)
    assert run(folder, "issue").exit_code == 0
    assert len(asked) == 1


def test_a_user_without_a_name_is_logged_by_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise OSError("no name")

    monkeypatch.setattr("tls.cli_inputs.getpass.getuser", nameless)
    run(folder, "issue")
    (log, *_) = sorted((folder / "store/ca/log").glob("*.jsonl"))
    assert json.loads(log.read_text().splitlines()[0])["requester"].startswith("uid ")


def test_the_module_runs_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tls", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    for command in ("issue", "status", "renew", "verify", "publish", "rollover", "retire", "root"):
        assert command in done.stdout
