"""What `fleet verify` asks of what runs: certificates, the gateway, what services report; and what it says where nobody can be asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from catalog import names
from fleet.certs import Observed
from fleet.verify import certificates
from fleet.verify.certificates import check_certificates
from fleet.verify.check import Check
from fleet.verify.gateway import KEY, check_gateway
from fleet.verify.reports import check_reports
from fleet.verify.scope import Scope, scope_of
from fleet.verify.wire import check_wire
from tests.unit.fleet.right_account import (
    ACCOUNT,
    CERTIFICATES,
    RightAccount,
    WithoutTasks,
    catalog,
    environment,
)
from tls import Consumer, Observations, Profile, Served

GAME, GATEWAY = "state-manager-nats", "http-nats-gateway"


def running(right: RightAccount, **changes: Any) -> Scope:
    return Scope(catalog(), environment(), right.account, **changes)


def resting(right: RightAccount) -> Scope:
    return Scope(catalog(), environment(), WithoutTasks(right.session, ACCOUNT))


def found(checks: list[Check], check_id: str) -> dict[str, tuple[str, str]]:
    return {check.subject: (check.status, check.found) for check in checks if check.id == check_id}


# ---------------------------------------------------------------------------------------------------------- certificates


def pointer(right: RightAccount, place: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(
        right.s3.get_object(Bucket=CERTIFICATES, Key=f"{place}current.json")["Body"].read()
    )
    return told


def shift(right: RightAccount, place: str, days: int) -> None:
    """Have a certificate begin and end so many days earlier."""
    told = pointer(right, place)
    for key in ("not_before", "not_after"):
        moment = datetime.fromisoformat(told["certificate"][key]) - timedelta(days=days)
        told["certificate"][key] = moment.isoformat().replace("+00:00", "Z")
    right.s3.put_object(Bucket=CERTIFICATES, Key=f"{place}current.json", Body=json.dumps(told).encode())


def test_a_certificate_is_there_for_everybody_who_needs_one(right: RightAccount) -> None:
    seen = found(check_certificates(resting(right)), "certificate.current")
    assert {status for status, _ in seen.values()} == {"ok"}
    assert {f"client/{GAME}/", f"client/{GATEWAY}/", "client/operator/", "server/nats-1/", "route/nats-3/"} <= set(seen)


def test_a_missing_certificate_is_wanting(right: RightAccount) -> None:
    right.s3.delete_object(Bucket=CERTIFICATES, Key=f"client/{GAME}/current.json")
    assert found(check_certificates(resting(right)), "certificate.current")[f"client/{GAME}/"] == ("wanting", "none")


@pytest.mark.parametrize(("days", "status"), [(19, "ok"), (24, "wanting"), (31, "wanting"), (-2, "wanting")])
def test_a_certificate_that_should_have_been_renewed_is_wanting(right: RightAccount, days: int, status: str) -> None:
    shift(right, "server/nats-1/", days)
    assert found(check_certificates(resting(right)), "certificate.current")["server/nats-1/"][0] == status


def test_what_nobody_shows_here_is_not_proven(right: RightAccount) -> None:
    seen = found(check_certificates(resting(right)), "certificate.served")
    assert set(seen) == {
        *(f"{profile}/{node}/" for profile in ("server", "route") for node in names.NATS_NODES),
        f"client/{GAME}/",
        f"client/{GATEWAY}/",
    }
    assert {status for status, _ in seen.values()} == {"unproven"}


def watch(right: RightAccount, monkeypatch: pytest.MonkeyPatch, **other: str) -> dict[str, tuple[str, str]]:
    """Look at a wire on which everybody shows the certificate of the bucket, but for some."""
    now = datetime.now(UTC)
    scope = running(right)
    shown: dict[str, dict[Profile, Served]] = {}
    for place in found(check_certificates(resting(right)), "certificate.served"):
        profile, name, _ = place.split("/")
        consumer = f"client/{name}" if profile == "client" else f"node/{name}"
        fingerprint = other.get(place, pointer(right, place)["certificate"]["fingerprint"])
        ends = now + timedelta(days=9) if fingerprint != "of nobody" else now
        if fingerprint != "nothing":
            shown.setdefault(consumer, {})[Profile(profile)] = Served(fingerprint, ends)
    seen = Observations(now, tuple(Consumer(name, serves) for name, serves in shown.items()))
    monkeypatch.setattr(certificates, "observed", lambda _account, _environment: Observed(seen, ()))
    return found(check_certificates(scope), "certificate.served")


def test_the_certificates_on_the_wire_are_those_of_the_bucket(
    right: RightAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {status for status, _ in watch(right, monkeypatch).values()} == {"ok"}


@pytest.mark.parametrize(
    ("place", "fingerprint", "status"),
    [
        ("server/nats-1/", "of before", "wanting"),
        (f"client/{GAME}/", "of before", "ok"),
        (f"client/{GAME}/", "of nobody", "wanting"),
        (f"client/{GAME}/", "nothing", "wanting"),
    ],
    ids=["node with an old one", "service with an old one", "one that is not in the bucket", "none"],
)
def test_another_certificate_on_the_wire_is_found(
    right: RightAccount, monkeypatch: pytest.MonkeyPatch, place: str, fingerprint: str, status: str
) -> None:
    seen = watch(right, monkeypatch, **{place: fingerprint})
    assert seen[place][0] == status
    assert {one for where, (one, _) in seen.items() if where != place} == {"ok"}


def test_a_node_that_does_not_say_what_it_serves_is_found(right: RightAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Observed(Observations(datetime.now(UTC)), ("nats-2 did not say what it serves",))
    monkeypatch.setattr(certificates, "observed", lambda _account, _environment: silent)
    checks = check_certificates(running(right))
    assert found(checks, "certificate.seen")["test"] == ("wanting", "nats-2 did not say what it serves")


# --------------------------------------------------------------------------------------------------------------- gateway


class Door(ThreadingHTTPServer):
    """Answers as the gateway does."""

    daemon_threads = True

    def __init__(self, answers: Mapping[str, tuple[int, str]]) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.answers = answers
        self.keys: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Asked(BaseHTTPRequestHandler):
    server: Door

    def do_GET(self) -> None:
        key = self.headers.get("X-Api-Key")
        self.server.keys.append(key)
        status, problem = self.server.answers.get(self.path, (404, "unknown-route"))
        if key != "a secret" and status != 404:
            status, problem = 401, "unauthenticated"
        body = json.dumps({"type": f"/docs#problem-{problem}"}).encode() if problem else b"{}"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


STATE = "/v1/games/verify-nothing-is-called-so"


@pytest.fixture
def door(right: RightAccount) -> Iterator[Door]:
    right.secretsmanager.create_secret(Name=names.secret(GATEWAY, KEY, "test"), SecretString="a secret")
    server = Door({STATE: (422, "invalid")})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_each_service_with_a_route_is_asked_through_the_gateway(right: RightAccount, door: Door) -> None:
    checks = check_gateway(running(right, gateway=door.address))
    assert found(checks, "gateway.answers") == {GAME: ("ok", "422 invalid")}
    assert found(checks, "gateway.refuses") == {"test": ("ok", "401 unauthenticated")}
    assert found(checks, "error.problem") == {"test": ("ok", "404 unknown-route")}
    assert set(door.keys) == {"a secret", None}


@pytest.mark.parametrize(
    "answer", [(503, "unavailable"), (504, "timeout"), (403, "forbidden"), (404, "unknown-route")], ids=str
)
def test_a_service_that_is_not_reached_through_the_gateway_is_found(
    right: RightAccount, door: Door, answer: tuple[int, str]
) -> None:
    door.answers = {STATE: answer}
    (status, told) = found(check_gateway(running(right, gateway=door.address)), "gateway.answers")[GAME]
    assert status == "wanting"
    assert f"{answer[0]} {answer[1]}" in told


def test_a_gateway_that_does_not_answer_is_found(right: RightAccount, door: Door) -> None:
    del door
    checks = check_gateway(running(right, gateway="http://127.0.0.1:1"))
    assert {check.status for check in checks} == {"wanting"}


def test_a_gateway_out_of_reach_proves_nothing(right: RightAccount) -> None:
    checks = check_gateway(running(right))
    assert {(check.id, check.status) for check in checks} == {
        ("gateway.answers", "unproven"), ("gateway.refuses", "unproven"), ("error.problem", "unproven"),
    }  # fmt: skip


def test_without_the_verifiers_key_the_gateway_proves_nothing(right: RightAccount) -> None:
    checks = check_gateway(running(right, gateway="http://127.0.0.1:1"))
    assert {check.status for check in checks} == {"unproven"}
    assert "cannot be read: ResourceNotFoundException" in checks[0].found


def test_an_address_that_is_none_is_refused(right: RightAccount) -> None:
    with pytest.raises(Exception, match="got 'file:///etc/passwd'"):
        scope_of(catalog(), environment(), right.account, "file:///etc/passwd")


# --------------------------------------------------------------------------------------------------------------- reports


def test_services_that_report_prove_it_with_a_zero(right: RightAccount) -> None:
    dimensions: Any = [{"Name": "Environment", "Value": "test"}, {"Name": "Service", "Value": GAME}]
    right.cloudwatch.put_metric_data(
        Namespace="GamingSystem/Services",
        MetricData=[{"MetricName": "CircuitsOpened", "Dimensions": dimensions, "Value": 0.0, "Unit": "Count"}],
    )
    checks = check_reports(running(right))
    assert found(checks, "breaker.reports") == {GAME: ("ok", "0"), GATEWAY: ("unproven", "nothing")}
    assert found(checks, "error.reports")[GAME] == ("unproven", "nothing")


def test_nobody_is_asked_where_nothing_runs(right: RightAccount) -> None:
    scope = resting(right)
    checks = [*check_wire(scope), *check_reports(scope), *check_gateway(scope)]
    assert {check.status for check in checks} == {"unproven"}
    assert {check.id for check in checks} >= {
        "wire.answers", "wire.refused", "wire.served", "wire.stranger", "breaker.settings", "breaker.reports",
        "error.typed", "error.reports", "error.problem",
    }  # fmt: skip


# ----------------------------------------------------------------------------------------------------------------- scope


@pytest.mark.parametrize(("health", "address"), [("HEALTHY", "http://127.0.0.1:8123"), ("UNKNOWN", None)])
@pytest.mark.parametrize("runs_cache", [True, False])
def test_what_runs_on_this_machine_is_claimed_and_nothing_else(
    right: RightAccount, monkeypatch: pytest.MonkeyPatch, health: str, address: str | None, *, runs_cache: bool
) -> None:
    task = {"health": health, "ports": {"GATEWAY_PORT": 8123}}
    status = {"tasks": {"services": [{"name": GATEWAY, "tasks": [task]}]}, "cache": {"runs": runs_cache}}
    plane = SimpleNamespace(ask=lambda _: status)
    monkeypatch.setattr("fleet.verify.scope.LocalPlane.running", lambda _: plane)
    scope = scope_of(catalog(), environment(), WithoutTasks(right.session, ACCOUNT))
    assert (scope.claims_tasks, scope.claims_nodes, scope.claims_cache) == (True, True, runs_cache)
    assert scope.gateway == address
