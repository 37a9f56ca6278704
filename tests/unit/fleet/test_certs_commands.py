"""`fleet certs` on a directory: who gets a certificate follows from the catalog."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fleet.cli.app import app

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
