from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from tests.certificates import Clock, a_request, an_issuer
from tests.fake_s3 import FakeS3, refusal
from tls import InputError, S3Store, StoreError, Write, audit, bring_about, pointers, retire
from tls.store import LOG_PREFIX, write

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "acme-test-certificates"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture(params=["moto", "fake"])
def store(request: pytest.FixtureRequest, client: S3Client) -> S3Store:
    return S3Store(BUCKET, client) if request.param == "moto" else fake_store(FakeS3())


def fake_store(fake: FakeS3) -> S3Store:
    return S3Store(BUCKET, cast("S3Client", fake))


def test_what_is_written_is_read_as_it_was_in_every_version(store: S3Store) -> None:
    first = write(store, "a/k", b"one")
    second = write(store, "a/k", b"two", replaces=first.etag)
    assert store.read("a/k") == second
    assert store.read("a/k", first.version_id) == first
    assert store.read("a/none") is None
    assert store.keys("a/") == ["a/k"]
    assert store.read_all([("a/k", first.version_id), ("a/none", None), ("a/k", None)]) == [first, None, second]


def test_a_write_replaces_only_what_it_says(store: S3Store) -> None:
    first = write(store, "k", b"one")
    assert store.write_all([Write("k", b"two")]) == [None]
    assert store.write_all([Write("k", b"two", '"wrong"')]) == [None]
    assert store.write_all([Write("none", b"two", first.etag)]) == [None]
    assert store.read("k") == first


def test_a_delete_removes_only_what_it_says(store: S3Store) -> None:
    assert not store.delete("k", '"x"')
    first = write(store, "k", b"one")
    assert not store.delete("k", '"wrong"')
    assert store.delete("k", first.etag)
    assert store.read("k") is None
    assert store.keys("") == []
    write(store, "k", b"again")


def test_a_delete_leaves_no_version_behind(client: S3Client) -> None:
    store = S3Store(BUCKET, client)
    first = write(store, "k", b"one")
    second = write(store, "k", b"two", replaces=first.etag)
    write(store, "k2", b"stays")
    assert store.delete("k", second.etag)
    assert [entry["Key"] for entry in client.list_object_versions(Bucket=BUCKET)["Versions"]] == ["k2"]
    assert "DeleteMarkers" not in client.list_object_versions(Bucket=BUCKET)


def test_what_comes_back_during_a_delete_stays(client: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another issuer gives a name that is being retired a new certificate."""
    store = S3Store(BUCKET, client)
    first = write(store, "k", b"one")
    delete = client.delete_object

    def delete_and_meet_another(**arguments: Any) -> Any:
        answer = delete(**arguments)
        write(S3Store(BUCKET, client), "k", b"theirs")
        return answer

    monkeypatch.setattr(client, "delete_object", delete_and_meet_another)
    assert store.delete("k", first.etag)
    stored = store.read("k")
    assert stored is not None
    assert stored.data == b"theirs"


def test_a_purge_takes_every_version(store: S3Store) -> None:
    first = write(store, "k", b"one")
    write(store, "k", b"two", replaces=first.etag)
    write(store, "k2", b"stays")
    store.purge(["k", "none"])
    assert store.read("k") is None
    assert store.read("k", first.version_id) is None
    assert store.keys("") == ["k2"]


def test_many_keys_are_listed_and_written(store: S3Store) -> None:
    keys = [f"many/{number:03}" for number in range(25)]
    assert None not in store.write_all([Write(key, b"") for key in keys])
    assert store.keys("many/") == keys
    assert store.write_all([]) == []


def test_a_whole_environment_is_issued_once(client: S3Client) -> None:
    store, clock, request = S3Store(BUCKET, client), Clock(), a_request()
    report = bring_about(an_issuer(store, clock), request)
    assert report.changed
    assert audit(store, request, clock()) == []

    def state() -> list[tuple[str, str]]:
        listed = client.list_object_versions(Bucket=BUCKET)["Versions"]
        return sorted((entry["Key"], entry["VersionId"]) for entry in listed)

    before = state()
    again = bring_about(an_issuer(store, clock), request)
    assert not again.changed
    assert state() == before
    assert len(store.keys(LOG_PREFIX)) == 2
    pointer = pointers(store)["client/orders/"]
    for name, file in pointer.files.items():
        key = f"client/orders/{pointer.version}/{name}"
        assert client.head_object(Bucket=BUCKET, Key=key)["VersionId"] == file.version_id


def test_a_reader_by_version_gets_the_pair_even_while_it_is_replaced(client: S3Client) -> None:
    store, clock, request = S3Store(BUCKET, client), Clock(), a_request()
    bring_about(an_issuer(store, clock), request)
    old = pointers(store)["client/orders/"]
    bring_about(an_issuer(store, clock), request, forced=["client/orders/"])
    assert pointers(store)["client/orders/"].version != old.version
    assert store.read(f"client/orders/{old.version}/key.pem", old.files["key.pem"].version_id) is not None


def test_a_retired_key_is_gone_with_every_version(client: S3Client) -> None:
    store, clock = S3Store(BUCKET, client), Clock()
    bring_about(an_issuer(store, clock), a_request())
    fewer = a_request(services=["orders"])
    retire(store, fewer, unused={"client/payments/"}, now=clock())
    keys = {entry["Key"] for entry in client.list_object_versions(Bucket=BUCKET)["Versions"]}
    assert not [key for key in keys if key.startswith("client/payments/") and key.endswith(".pem")]


def test_a_bucket_that_is_not_there_is_told(client: S3Client) -> None:
    with pytest.raises(InputError, match="s3://acme-none is not there"):
        write(S3Store("acme-none", client), "k", b"")


def test_a_bucket_without_versions_is_refused(client: S3Client) -> None:
    client.create_bucket(Bucket="acme-plain")
    with pytest.raises(StoreError, match="keeps no versions"):
        write(S3Store("acme-plain", client), "k", b"")


def test_a_client_is_made_of_the_process_itself(client: S3Client) -> None:
    del client
    assert write(S3Store(BUCKET), "k", b"").version_id


def test_a_bucket_that_refuses_is_told_without_what_was_written() -> None:
    fake = FakeS3()
    acts: dict[str, Callable[[S3Store], object]] = {
        "put_object": lambda store: write(store, "k", b"secret bytes"),
        "get_object": lambda store: store.read("k"),
        "delete_object": lambda store: store.delete("k", "e"),
    }
    for operation, act in acts.items():
        fake.answers[operation] = [refusal("AccessDenied", "Access Denied")]
        with pytest.raises(StoreError, match=r"s3://.*/k: Access Denied \(AccessDenied\)") as error:
            act(fake_store(fake))
        assert "secret" not in str(error.value)


def test_a_network_that_is_gone_is_told() -> None:
    fake = FakeS3()
    fake.answers["get_object"] = [EndpointConnectionError(endpoint_url="https://s3")]
    with pytest.raises(StoreError, match="Could not connect"):
        fake_store(fake).read("k")


def test_what_cannot_be_removed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeS3()
    store = fake_store(fake)
    write(store, "k", b"")
    monkeypatch.setattr(fake, "delete_objects", lambda **_: {"Errors": [{"Key": "k", "Message": "no"}]})
    with pytest.raises(StoreError, match="k cannot be removed: no"):
        store.purge(["k"])


def test_a_write_whose_answer_was_lost_is_no_conflict() -> None:
    fake = FakeS3()
    store = fake_store(fake)
    fake.lose_answers_of.add("k")
    first = write(store, "k", b"one")
    fake.lose_answers_of.add("k")
    assert write(store, "k", b"two", replaces=first.etag).data == b"two"


def test_a_write_that_met_another_one_is_a_conflict() -> None:
    fake = FakeS3()
    fake.answers["put_object"] = [refusal("ConditionalRequestConflict")]
    assert fake_store(fake).write_all([Write("k", b"")]) == [None]


def test_of_many_writers_of_one_key_exactly_one_wins() -> None:
    store = fake_store(FakeS3())
    etag = write(store, "k", b"0").etag
    barrier = threading.Barrier(8)
    results: list[Any] = []

    def contend(number: int) -> None:
        barrier.wait()
        results.extend(store.write_all([Write("k", str(number).encode(), etag)]))

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result for result in results if result is not None] == [store.read("k")]
