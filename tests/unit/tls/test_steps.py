from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.certificates import (
    PASSPHRASE,
    START,
    Clock,
    Interference,
    MemoryStore,
    WatchedStore,
    a_request,
    an_issuer,
    plain_request,
)
from tls import (
    AuthorityError,
    CertificateRequest,
    ClockError,
    ConflictError,
    Consumer,
    Delivered,
    Delivery,
    InputError,
    Observations,
    Passphrase,
    PassphraseError,
    Phase,
    Profile,
    Release,
    Served,
    Sources,
    Stored,
    StoreError,
    VerificationError,
    Write,
    audit,
    bring_about,
    pointers,
    read_record,
)
from tls.profiles import RENEWAL_FRACTION
from tls.renewal import renewal_moment, rollover_moment
from tls.store import LOG_PREFIX, MANIFEST

REQUEST = a_request()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    store = MemoryStore()
    bring_about(an_issuer(store, clock), REQUEST)
    return store


def forbidden() -> Passphrase:
    raise AssertionError("the passphrase was asked for, and nothing had to be signed")


def test_an_empty_store_ends_with_all_that_is_asked_for(clock: Clock) -> None:
    store = MemoryStore()
    report = bring_about(an_issuer(store, clock), REQUEST)
    assert [leaf.place for leaf in report.issued] == [leaf.prefix for leaf in REQUEST.leaves]
    assert report.creates_authority
    assert report.exit_code == 0
    assert audit(store, REQUEST, clock()) == []
    record = read_record(store)
    assert record is not None
    assert record.record.phase is Phase.STEADY
    assert record.record.issuing == report.authority


def test_a_second_run_changes_nothing_and_needs_no_passphrase(store: MemoryStore, clock: Clock) -> None:
    before = list(store.written)
    clock.advance(days=18)
    report = bring_about(an_issuer(store, clock, passphrase=forbidden), REQUEST)
    assert store.written == before
    assert not report.changed
    assert report.unchanged == 5


def test_a_dry_run_tells_and_changes_nothing(clock: Clock) -> None:
    store = MemoryStore()
    report = bring_about(an_issuer(store, clock, passphrase=forbidden), REQUEST, dry_run=True)
    assert store.written == []
    assert len(report.issued) == 5
    assert report.creates_authority
    assert report.authority is None
    assert not report.changed


def test_a_new_service_gets_its_certificate_and_nothing_else_changes(store: MemoryStore, clock: Clock) -> None:
    before = store.current()
    more = a_request(services=["orders", "payments", "quests"])
    report = bring_about(an_issuer(store, clock), more)
    assert [leaf.place for leaf in report.issued] == ["client/quests/"]
    changed = {key for key, data in store.current().items() if before.get(key) != data}
    assert {key.split("/")[0] for key in changed - {MANIFEST}} == {"client", "ca"}
    assert all(key.startswith(("client/quests/", LOG_PREFIX)) for key in changed - {MANIFEST})


def test_leaves_are_renewed_with_a_third_left_each_in_its_own_time(store: MemoryStore, clock: Clock) -> None:
    moments = {
        prefix: renewal_moment(prefix, pointer.certificate.not_before, pointer.certificate.not_after)
        for prefix, pointer in pointers(store).items()
    }
    end = START + timedelta(days=30)
    life = timedelta(days=30, minutes=5)
    assert all(
        life / RENEWAL_FRACTION <= end - moment <= life / RENEWAL_FRACTION + life / 20 for moment in moments.values()
    )
    assert len(set(moments.values())) == len(moments)
    first = min(moments, key=lambda prefix: moments[prefix])
    clock.time = moments[first] - timedelta(seconds=2)
    assert not bring_about(an_issuer(store, clock), REQUEST).changed
    clock.time = moments[first] + timedelta(seconds=1)
    report = bring_about(an_issuer(store, clock), REQUEST)
    assert [leaf.place for leaf in report.issued] == [first]
    assert "its renewal is due since" in report.issued[0].reason
    clock.time = max(moments.values()) + timedelta(seconds=1)
    assert len(bring_about(an_issuer(store, clock), REQUEST).issued) == 4


def test_what_is_forced_is_renewed_and_what_is_unknown_refused(store: MemoryStore, clock: Clock) -> None:
    report = bring_about(an_issuer(store, clock), REQUEST, forced=["client/orders/"])
    assert [leaf.reason for leaf in report.issued] == ["its renewal was asked for"]
    with pytest.raises(InputError, match="the request has nothing at client/none/"):
        bring_about(an_issuer(store, clock), REQUEST, forced=["client/none/"])


@pytest.mark.parametrize(
    ("key", "data", "expected"),
    [
        ("current.json", b"{", "is damaged"),
        ("current.json", b"[]", "is damaged"),
        ("current.json", b'{"format": 1}', "is damaged"),
        ("chain.pem", b"garbage", "the checksums differ"),
        ("key.pem", b"garbage", "the checksums differ"),
        ("key.pem", None, "is not there"),
        ("chain.pem", None, "is not there"),
    ],
)
def test_what_is_damaged_is_issued_anew(
    store: MemoryStore, clock: Clock, key: str, data: bytes | None, expected: str
) -> None:
    pointer = pointers(store)["client/orders/"]
    path = "client/orders/current.json" if key == "current.json" else f"client/orders/{pointer.version}/{key}"
    if data is None:
        del store.objects[path]
    else:
        store.objects[path] = [replace(stored, data=data) for stored in store.objects[path]]
    assert audit(store, REQUEST, clock())
    report = bring_about(an_issuer(store, clock), REQUEST)
    assert [leaf.place for leaf in report.issued] == ["client/orders/"]
    assert expected in report.issued[0].reason
    assert audit(store, REQUEST, clock()) == []


def test_a_record_of_a_newer_format_is_never_written_over(store: MemoryStore, clock: Clock) -> None:
    path = "client/orders/current.json"
    newer = json.dumps(json.loads(store.current()[path]) | {"format": 2}).encode()
    store.objects[path] = [replace(stored, data=newer) for stored in store.objects[path]]
    with pytest.raises(StoreError, match="has the format 2; this version reads up to 1"):
        bring_about(an_issuer(store, clock), REQUEST)


def test_a_pointer_that_tells_of_another_certificate_is_mended(store: MemoryStore, clock: Clock) -> None:
    path = "client/orders/current.json"
    plain = json.loads(store.current()[path])
    plain["certificate"]["not_after"] = "2099-01-01T00:00:00+00:00"
    store.objects[path] = [replace(store.objects[path][-1], data=json.dumps(plain).encode())]
    report = bring_about(an_issuer(store, clock), REQUEST)
    assert report.issued[0].reason == "its pointer describes another certificate"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"key_type": "ed25519"}, "the key is p256, not ed25519"),
        ({"lifetimes": {"leaf_days": 7}}, "for longer than asked for"),
        ({"nodes": [{"name": "nats-1", "server_names": ["x.nats.acme.internal"]}]}, "its names are"),
    ],
)
def test_what_is_asked_for_otherwise_is_issued_anew(
    store: MemoryStore, clock: Clock, changes: dict[str, object], expected: str
) -> None:
    report = bring_about(an_issuer(store, clock), a_request(**changes))
    assert report.issued
    assert all(expected in leaf.reason for leaf in report.issued)
    assert not bring_about(an_issuer(store, clock), a_request(**changes)).changed


def test_another_environment_is_refused(store: MemoryStore, clock: Clock) -> None:
    with pytest.raises(InputError, match="belongs to the environment 'test' and the request to 'prod'"):
        bring_about(an_issuer(store, clock), a_request(environment="prod"))


def test_other_domains_need_another_authority(store: MemoryStore, clock: Clock) -> None:
    before = store.current()
    with pytest.raises(VerificationError, match="roll it over"):
        bring_about(an_issuer(store, clock), a_request(client_domain="svc.other.internal"))
    assert store.current() == before


def test_a_wrong_passphrase_changes_nothing(store: MemoryStore, clock: Clock) -> None:
    before = store.current()
    wrong = an_issuer(store, clock, passphrase=lambda: Passphrase("another passphrase"))
    with pytest.raises(PassphraseError, match="cannot be opened"):
        bring_about(wrong, REQUEST, forced=["client/orders/"])
    assert store.current() == before


def test_a_lost_key_of_an_issuing_authority_is_told(store: MemoryStore, clock: Clock) -> None:
    store.purge(store.keys("ca/private/"))
    with pytest.raises(AuthorityError, match="cannot sign; roll it over"):
        bring_about(an_issuer(store, clock), REQUEST, forced=["client/orders/"])


def test_keys_of_authorities_that_were_exchanged_are_found(store: MemoryStore, clock: Clock) -> None:
    folder = f"ca/private/{read_record(store).record.issuing}"  # type: ignore[union-attr]
    store.objects[f"{folder}/client.pem"] = store.objects[f"{folder}/server.pem"]
    with pytest.raises(AuthorityError, match=r"is not the key of CN=test client CA"):
        bring_about(an_issuer(store, clock), REQUEST, forced=["client/orders/"])


def test_near_the_end_of_its_authority_a_leaf_ends_with_it_and_a_rollover_is_asked_for(
    store: MemoryStore, clock: Clock
) -> None:
    clock.time = START + timedelta(days=720)
    report = bring_about(an_issuer(store, clock), REQUEST)
    assert len(report.issued) == 5
    assert report.exit_code == 1
    assert all("begin a rollover" in finding for finding in report.findings)
    assert {str(leaf.certificate["not_after"]) for leaf in report.issued if leaf.certificate} == {
        (START + timedelta(days=730)).isoformat()
    }
    clock.advance(days=8)  # another renewal would gain nothing
    assert not bring_about(an_issuer(store, clock), REQUEST).changed
    clock.advance(days=3)
    with pytest.raises(VerificationError, match="it has expired"):
        bring_about(an_issuer(store, clock), REQUEST)


def test_a_rollover_is_asked_for_in_time() -> None:
    begin, month = START, timedelta(days=30)
    assert rollover_moment(begin, begin + timedelta(days=720), month) == begin + timedelta(days=480)
    assert rollover_moment(begin, begin + timedelta(days=90), month) == begin + month


def test_a_clock_that_is_behind_is_refused_unless_it_is_trusted(store: MemoryStore, clock: Clock) -> None:
    before = store.current()
    clock.advance(days=-3)
    with pytest.raises(ClockError, match="--trust-clock"):
        bring_about(an_issuer(store, clock), REQUEST)
    assert store.current() == before


def test_certificates_of_a_clock_that_was_ahead_are_mended_once_a_person_says_so(
    store: MemoryStore, clock: Clock
) -> None:
    clock.advance(days=25)
    bring_about(an_issuer(store, clock), REQUEST)
    clock.time = START + timedelta(days=1)
    with pytest.raises(ClockError):
        bring_about(an_issuer(store, clock), REQUEST)
    report = bring_about(an_issuer(store, clock), REQUEST, trusts_clock=True)
    assert len(report.issued) == 5
    assert not bring_about(an_issuer(store, clock), REQUEST).changed


def test_a_clock_that_moves_a_little_is_no_matter(store: MemoryStore, clock: Clock) -> None:
    clock.advance(minutes=-4)
    assert not bring_about(an_issuer(store, clock), REQUEST).changed


def test_a_clock_that_jumps_while_we_issue_publishes_nothing(store: MemoryStore, clock: Clock) -> None:
    def jump(text: str) -> None:
        if text.startswith("verify"):
            clock.advance(days=-2)

    before = {key: data for key, data in store.current().items() if not key.startswith(LOG_PREFIX)}
    with pytest.raises(VerificationError, match="nothing of it was published"):
        bring_about(an_issuer(store, clock, say=jump), REQUEST, forced=["client/orders/"])
    assert {key: data for key, data in store.current().items() if not key.startswith(LOG_PREFIX)} == before


def test_a_serial_that_is_given_out_twice_is_not_published(clock: Clock) -> None:
    sources = Sources(clock, lambda count: b"\x55" * count)
    with pytest.raises(VerificationError, match="a serial was given out twice"):
        bring_about(an_issuer(MemoryStore(), clock, sources=sources), REQUEST)


def test_the_log_has_every_certificate_with_who_asked_and_why(store: MemoryStore, clock: Clock) -> None:
    logs = [store.current()[key].decode() for key in store.keys(LOG_PREFIX)]
    entries = [json.loads(line) for log in logs for line in log.splitlines()]
    assert len(entries) == 4 + 5
    assert {entry["requester"] for entry in entries} == {"a test"}
    logged = {entry["fingerprint"]: entry for entry in entries}
    for prefix, pointer in pointers(store).items():
        entry = logged[pointer.certificate.fingerprint]
        assert (entry["place"], entry["serial"]) == (prefix, pointer.certificate.serial)
        assert entry["subject"]
        assert entry["issuer"]
        assert entry["time"] == clock().isoformat()
        assert entry["reason"] == "there is none yet"


def test_no_key_and_no_passphrase_is_anywhere_but_in_its_place(clock: Clock) -> None:
    store = MemoryStore()
    said: list[str] = []
    report = bring_about(an_issuer(store, clock, say=said.append), REQUEST)
    for key, data in store.current().items():
        assert PASSPHRASE.encode() not in data
        if b"PRIVATE" in data:
            assert key.endswith("/key.pem") or key.startswith("ca/private/")
        if key.startswith("ca/private/"):
            assert data.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    text = (
        json.dumps(report.to_plain())
        + "".join(said)
        + repr(report)
        + repr(store.objects)
        + repr(an_issuer(store, clock))
    )
    assert "PRIVATE" not in text
    assert PASSPHRASE not in text


class Nodes(Delivery):
    """A node that takes what it is given, or fails."""

    def __init__(self, *, succeeds: bool = True) -> None:
        self.releases: list[Release] = []
        self._succeeds = succeeds

    def deliver(self, release: Release) -> Sequence[Delivered]:
        self.releases.append(release)
        return [Delivered("nats-1", self._succeeds, "served")]


class Wire:
    """Shows what a node serves."""

    def __init__(self, nodes: Nodes, *, stale: bool = False) -> None:
        self._nodes = nodes
        self._stale = stale

    def observe(self) -> Observations:
        certificate = self._nodes.releases[-1].pointers["server/nats-1/"].certificate
        fingerprint = "0" * 64 if self._stale else certificate.fingerprint
        serves = {Profile.SERVER: Served(fingerprint, certificate.not_after)}
        return Observations(START, (Consumer("node/nats-1", serves),))


def test_what_was_published_is_delivered_and_proved(clock: Clock) -> None:
    nodes = Nodes()
    report = bring_about(an_issuer(MemoryStore(), clock, delivery=nodes, observer=Wire(nodes)), REQUEST)
    assert report.exit_code == 0
    assert report.delivered == (Delivered("nats-1", succeeded=True, detail="served"),)
    assert set(nodes.releases[0].pointers) == {leaf.prefix for leaf in REQUEST.leaves}


def test_a_delivery_that_fails_or_does_not_show_on_the_wire_is_found(clock: Clock) -> None:
    nodes = Nodes(succeeds=False)
    assert bring_about(an_issuer(MemoryStore(), clock, delivery=nodes), REQUEST).exit_code == 1
    nodes = Nodes()
    report = bring_about(an_issuer(MemoryStore(), clock, delivery=nodes, observer=Wire(nodes, stale=True)), REQUEST)
    assert report.exit_code == 1
    assert "it missed a delivery or a reload" in report.findings[0]


def test_no_nodes_are_a_success(clock: Clock) -> None:
    report = bring_about(an_issuer(MemoryStore(), clock, observer=Wire(Nodes())), REQUEST)
    assert report.exit_code == 0
    assert report.delivered == ()


@pytest.mark.parametrize("suffix", ["ca/certificates/current.json", "client/orders/current.json", MANIFEST, ".jsonl"])
def test_an_issuer_who_is_overtaken_takes_over_what_the_other_one_published(clock: Clock, suffix: str) -> None:
    store = MemoryStore()
    other = Interference(suffix, lambda: bring_about(an_issuer(store, clock), REQUEST))
    report = bring_about(an_issuer(WatchedStore(store, other), clock), REQUEST)
    assert other.done
    assert report.exit_code == 0
    assert audit(store, REQUEST, clock()) == []
    record = read_record(store)
    assert record is not None
    assert len({pointer.authority for pointer in pointers(store).values()}) == 1
    assert [len(store.objects[key]) for key in store.keys("client/") if key.endswith("current.json")] == [1, 1, 1]


def test_what_another_issuer_published_is_never_overwritten(store: MemoryStore, clock: Clock) -> None:
    other = Interference(
        "client/orders/current.json", lambda: bring_about(an_issuer(store, clock), REQUEST, forced=["client/orders/"])
    )
    clock.advance(days=25)
    report = bring_about(an_issuer(WatchedStore(store, other), clock), REQUEST)
    assert other.done
    versions = [stored.data for stored in store.objects["client/orders/current.json"]]
    assert len(versions) == 2  # the first one and the other issuer's
    assert report.exit_code == 0


def test_an_issuer_who_is_always_overtaken_gives_up(clock: Clock) -> None:
    class Hostile(MemoryStore):
        def write_all(self, writes: Sequence[Write]) -> list[None]:  # type: ignore[override]
            return [None for _ in writes]

    with pytest.raises((ConflictError, StoreError)):
        bring_about(an_issuer(Hostile(), clock), REQUEST)


def test_a_rollover_that_moves_on_while_we_issue_stops_the_publication(store: MemoryStore, clock: Clock) -> None:
    from tls import begin  # noqa: PLC0415

    other = Interference(
        ".jsonl",
        lambda: begin(store, REQUEST, passphrase=lambda: Passphrase(PASSPHRASE), sources=Sources(clock), requester="x"),
    )
    report = bring_about(an_issuer(WatchedStore(store, other), clock), REQUEST, forced=["client/orders/"])
    assert report.exit_code == 0
    assert (
        len(store.keys(LOG_PREFIX)) == 2 + 1 + 2
    )  # the publication of the first attempt was called off, its log stays


def test_the_request_decides_the_order(clock: Clock) -> None:
    plain = plain_request(nodes=[{"name": "nats-1"}, {"name": "nats-2"}])
    report = bring_about(an_issuer(MemoryStore(), clock), CertificateRequest.from_plain(plain))
    assert [leaf.place.partition("/")[0] for leaf in report.issued] == [
        "server", "server", "route", "route", "client", "client", "client",
    ]  # fmt: skip


def test_a_file_that_somebody_put_in_a_versions_place_is_told_and_not_pointed_to(clock: Clock) -> None:
    class Occupied(MemoryStore):
        def write_all(self, writes: Sequence[Write]) -> list[Stored | None]:
            if any(write.key.endswith("/key.pem") for write in writes):
                super().write_all(
                    [Write(write.key, b"another's") for write in writes if write.key.startswith("client/orders")]
                )
            return super().write_all(writes)

    store = Occupied()
    with pytest.raises(StoreError, match=r"client/orders/.*/chain\.pem is there with something else in it"):
        bring_about(an_issuer(store, clock), REQUEST)
    assert pointers(store) == {}
