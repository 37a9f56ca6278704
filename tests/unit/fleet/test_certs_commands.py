"""`fleet certs` on a directory: who gets a certificate follows from the catalog."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from typer.testing import CliRunner, Result

import fleet.certs
from catalog import load_catalog, load_environment
from fleet.account import Account
from fleet.certs import DeliveryByFunction, Observed, open_certificates
from fleet.cli import certs_commands
from fleet.cli.app import app
from fleet.errors import WantingError
from tls import Sources, bring_about, observations_from_plain

CATALOG = Path(__file__).parents[2] / "cases" / "good" / "every-feature.yaml"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FLEET_CA_PASSPHRASE", "correct-horse-battery-staple")
    return str(tmp_path / "store")


def certs(command: str, store: str, *more: str) -> Result:
    return CliRunner().invoke(app, ["certs", command, "--store", store, "--catalog", str(CATALOG), *more])


def test_every_node_enabled_service_and_reserved_identity_gets_one(store: str) -> None:
    done = certs("issue", store, "--format", "json")
    assert done.exit_code == 0, done.stderr
    places = {leaf["place"] for leaf in json.loads(done.stdout)["issued"]}
    assert {"server/nats-1/", "route/nats-3/", "client/http-nats-gateway/", "client/loadtest/"} <= places
    assert not [place for place in places if "language-system" in place]


def test_what_is_there_is_not_issued_again(store: str) -> None:
    certs("issue", store)
    again = json.loads(certs("issue", store, "--format", "json").stdout)
    assert (again["changed"], again["issued"]) == (False, [])


def test_a_dry_run_writes_nothing(store: str) -> None:
    assert certs("issue", store, "--dry-run").exit_code == 0
    assert not list(Path(store).rglob("*.pem"))


def test_what_was_issued_is_proved_and_told(store: str) -> None:
    certs("issue", store)
    assert certs("verify", store).exit_code == 0
    status = certs("status", store, "--format", "json")
    assert (status.exit_code, json.loads(status.stdout)["findings"]) == (0, [])


def test_one_certificate_is_renewed_and_no_other(store: str) -> None:
    certs("issue", store)
    done = json.loads(certs("renew", store, "client/http-nats-gateway", "--format", "json").stdout)
    assert [leaf["place"] for leaf in done["issued"]] == ["client/http-nats-gateway/"]


def test_a_store_is_published_to_another_without_the_keys_of_the_authority(store: str, tmp_path: Path) -> None:
    certs("issue", store)
    target = tmp_path / "target"
    assert certs("publish", str(target), "--from", store).exit_code == 0
    assert (target / "client" / "http-nats-gateway" / "current.json").is_file()
    assert not list(target.glob("ca/private/**/*.pem"))


@pytest.mark.parametrize(
    ("command", "more", "told"),
    [
        ("renew", ("client/nobody",), "asks for no certificate at client/nobody"),
        ("renew", (), "name what is to be renewed, or give --all"),
        ("issue", ("--env", "prdo"), "did you mean 'prod'"),
    ],
)
def test_bad_input_is_told_and_ends_with_2(command: str, more: tuple[str, ...], told: str, store: str) -> None:
    done = certs(command, store, *more)
    assert (done.exit_code, told in done.stderr) == (2, True), done.stderr


def test_an_address_that_is_no_store_ends_with_2(store: str) -> None:
    del store
    assert certs("issue", "ftp://somewhere").exit_code == 2


def test_a_passphrase_that_is_missing_ends_with_2(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLEET_CA_PASSPHRASE")
    done = certs("issue", store)
    assert (done.exit_code, "FLEET_CA_PASSPHRASE" in done.stderr) == (2, True), done.stderr


def test_a_clock_that_was_wrong_is_trusted_where_a_person_says_so(store: str) -> None:
    """The error says to run it again with that option, so this command must have it."""
    certs("issue", store)
    opened = open_certificates(load_catalog(CATALOG), load_environment("local"), store)
    ahead = replace(
        opened.issuer("a test", lambda _: None), sources=Sources(lambda: datetime.now(UTC) + timedelta(days=2))
    )
    bring_about(ahead, opened.request, forced=["client/operator/"])

    refused = [certs("issue", store), certs("renew", store, "client/operator")]
    trusted = certs("issue", store, "--trust-clock", "--format", "json")

    assert [(done.exit_code, "--trust-clock" in done.stderr) for done in refused] == [(1, True), (1, True)]
    assert trusted.exit_code == 0, trusted.stderr
    assert [leaf["place"] for leaf in json.loads(trusted.stdout)["issued"]] == ["client/operator/"]


def test_what_was_issued_by_hand_is_delivered_by_the_deployments_function(
    monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    asked: list[object] = []
    outcomes = [
        {"node": "nats-1", "succeeded": True, "detail": "i-1: Success; delivered: release-1"},
        {"node": "nats-2", "succeeded": False, "detail": "i-2: Failed; FAILED: it has expired"},
    ]

    def answer(account: object, function: str, event: object) -> dict[str, object]:
        asked.append((account, function, event))
        return {"delivered": outcomes}

    monkeypatch.setattr(fleet.certs, "ask", answer)
    account = cast("Account", "the account")
    opened = replace(
        open_certificates(load_catalog(CATALOG), load_environment("local"), store),
        delivery=DeliveryByFunction(account, "test"),
    )
    monkeypatch.setattr(certs_commands, "open_certificates", lambda *_: opened)

    tried, done = certs("issue", store, "--dry-run"), certs("issue", store)

    assert tried.exit_code == 0
    assert asked == [(account, "gaming-system-test-certificates", {"task": "deliver"})]
    assert done.exit_code == 1
    assert "nats-1: delivered i-1: Success" in done.stdout
    assert "nats-2: delivery FAILED i-2: Failed; FAILED: it has expired" in done.stdout


def test_where_the_function_is_broken_what_was_issued_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    def broken(*_: object) -> dict[str, object]:
        raise WantingError("gaming-system-test-certificates: out of order")

    monkeypatch.setattr(fleet.certs, "ask", broken)
    opened = replace(
        open_certificates(load_catalog(CATALOG), load_environment("local"), store),
        delivery=DeliveryByFunction(cast("Account", None), "test"),
    )
    monkeypatch.setattr(certs_commands, "open_certificates", lambda *_: opened)

    done = json.loads(certs("issue", store, "--format", "json").stdout)

    assert len(done["issued"]) > 1
    assert [outcome["detail"] for outcome in done["delivered"]] == ["gaming-system-test-certificates: out of order"]


def root(command: str, store: str, file: Path, *more: str) -> Result:
    return CliRunner().invoke(
        app, ["certs", "root", command, str(file), "--store", store, "--catalog", str(CATALOG), *more]
    )


def test_the_roots_key_goes_offline_and_comes_back(store: str, tmp_path: Path) -> None:
    certs("issue", store)
    file = tmp_path / "root.pem"

    early = root("remove", store, file)
    exported, removed, again = root("export", store, file), root("remove", store, file), root("remove", store, file)
    kept = rollover("begin", store, "--keep-root")
    gone = list(Path(store).glob("ca/private/root-*/root.pem"))
    restored = root("restore", store, file, "--format", "json")

    assert (early.exit_code, "cannot be read" in early.stderr) == (2, True), early.stderr
    assert [done.exit_code for done in (exported, removed, again)] == [0, 0, 0], removed.stderr
    assert (gone, "offline already" in again.stdout) == ([], True)
    assert (kept.exit_code, "root restore" in kept.stderr) == (1, True)
    assert json.loads(restored.stdout) == {"root_key_is_online": True, "changed": True}


def rollover(command: str, store: str, *more: str) -> Result:
    return CliRunner().invoke(
        app, ["certs", "rollover", command, "--store", store, "--catalog", str(CATALOG), "--format", "json", *more]
    )


def test_a_rollover_begins_and_shows_what_comes_next(store: str) -> None:
    certs("issue", store)

    begun, shown = rollover("begin", store), rollover("status", store)

    assert begun.exit_code == 0, begun.stderr
    told = json.loads(shown.stdout)
    assert told == json.loads(begun.stdout)
    assert (told["phase"], len(told["trusted"]), told["issuing"]) == ("trust-both", 2, told["trusted"][0])


def test_a_phase_does_not_begin_on_what_nobody_saw(store: str, tmp_path: Path) -> None:
    certs("issue", store)
    rollover("begin", store)
    seen = tmp_path / "seen.json"
    seen.write_text(json.dumps({"taken_at": datetime.now(UTC).isoformat()}), encoding="utf-8")

    unseen = rollover("advance", store, "--to", "issue-by-new")
    shut = rollover("advance", store, "--to", "issue-by-new", "--observations", str(seen))

    assert (unseen.exit_code, "give what was seen: --observations FILE" in unseen.stderr) == (2, True)
    assert (shut.exit_code, "node/nats-1 was not looked at" in shut.stderr) == (1, True)
    assert json.loads(rollover("status", store).stdout)["phase"] == "trust-both"


def test_a_new_authority_that_nobody_uses_can_be_given_up(store: str, tmp_path: Path) -> None:
    certs("issue", store)
    rollover("begin", store)
    names = ["node/nats-1", "node/nats-2", "node/nats-3"]
    clients = [f"client/{folder.name}" for folder in (Path(store) / "client").iterdir()]
    seen = tmp_path / "seen.json"
    seen.write_text(
        json.dumps({"taken_at": datetime.now(UTC).isoformat(), "not_running": names + clients}), encoding="utf-8"
    )

    done = rollover("back", store, "--observations", str(seen))

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["phase"] == "steady"


def test_production_is_asked_about_where_somebody_can_answer(store: str) -> None:
    certs("issue", store, "--env", "prod")

    refused = rollover("begin", store, "--env", "prod")
    agreed = rollover("begin", store, "--env", "prod", "--yes")

    assert (refused.exit_code, "nobody has said yes" in refused.stderr) == (2, True), refused.stderr
    assert agreed.exit_code == 0, agreed.stderr


def test_what_the_nodes_serve_is_compared_with_what_is_stored(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    certs("issue", store)
    served = {"fingerprint": "5e" * 32, "not_after": (datetime.now(UTC) + timedelta(days=9)).isoformat()}
    plain = {
        "taken_at": datetime.now(UTC).isoformat(),
        "consumers": [{"name": "node/nats-1", "serves": {"server": served}}],
    }
    seen = Observed(observations_from_plain(plain, where="the test"), ("nats-2 did not say what it serves",))
    opened = open_certificates(load_catalog(CATALOG), load_environment("local"), store)
    monkeypatch.setattr(certs_commands, "open_certificates", lambda *_: replace(opened, observe=lambda: seen))

    status = certs("status", store, "--format", "json")

    told = json.loads(status.stdout)
    assert status.exit_code == 1
    assert "node/nats-1 serves the server certificate 5e5e5e5e5e5e5e5e" in told["findings"][0]
    assert told["not_seen"] == ["nats-2 did not say what it serves"]
