"""Certificates from S3 in the layout that `tls` writes, and secrets, read over HTTP from a server that speaks AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto.server import ThreadedMotoServer

from sdk import CertificateError, ConfigurationError, S3Certificates
from sdk.secret_values import read_secret
from tests.certificates import PASSPHRASE, a_request
from tls import Issuer, Passphrase, Sources, bring_about
from tls.s3_store import S3Store
from tls.store import Store, Write

pytestmark = pytest.mark.integration

BUCKET = "gaming-system-test-certificates"
PREFIX = "client/orders/"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def told(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the process what a task is told."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def store(endpoint: str) -> Store:
    """A bucket with the certificates of two services."""
    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    store = S3Store(BUCKET, client)
    assert bring_about(an_issuer(store), a_request()).exit_code == 0
    return store


def an_issuer(store: Store, later: timedelta = timedelta()) -> Issuer:
    return Issuer(store, lambda: Passphrase(PASSPHRASE), "a test", sources=Sources(lambda: datetime.now(UTC) + later))


@pytest.mark.usefixtures("store")
def test_the_current_certificate_is_read_and_fits() -> None:
    certificates = S3Certificates(BUCKET, PREFIX).fetch()
    certificates.context()
    assert certificates.chain_pem.count(b"BEGIN CERTIFICATE") == 2
    days = certificates.remaining_days()
    assert days is not None
    assert 29 < days < 31


@pytest.mark.usefixtures("store")
def test_what_is_not_there_is_told_with_its_address() -> None:
    with pytest.raises(
        CertificateError, match=rf"s3://{BUCKET}/client/nobody/current\.json: it is not there.*HTTP 404"
    ):
        S3Certificates(BUCKET, "client/nobody").fetch()


def test_a_file_that_is_not_what_its_pointer_says_is_refused(store: Store) -> None:
    key = "client/payments/current.json"
    stored = store.read(key)
    assert stored is not None
    pointer = json.loads(stored.data)
    pointer["files"]["chain.pem"]["sha256"] = "0" * 64
    assert store.write_all([Write(key, json.dumps(pointer).encode(), stored.etag)])[0] is not None
    with pytest.raises(CertificateError, match=r"chain\.pem is not what its pointer says: the checksums differ"):
        S3Certificates(BUCKET, "client/payments/").fetch()


@pytest.mark.usefixtures("store")
def test_without_credentials_it_is_told_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(CertificateError, match="AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        S3Certificates(BUCKET, PREFIX).fetch()


def test_a_server_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(CertificateError, match="cannot be read"):
        S3Certificates(BUCKET, PREFIX).fetch()


def test_a_renewal_is_seen(store: Store) -> None:
    source = S3Certificates(BUCKET, PREFIX)
    before = source.fetch()
    assert bring_about(an_issuer(store, timedelta(days=25)), a_request()).exit_code == 0
    after = source.fetch()
    assert after.fingerprint != before.fingerprint
    assert after.server_ca_pem == before.server_ca_pem


def test_a_secret_is_read_again_by_its_name(endpoint: str) -> None:
    client = boto3.client(
        "secretsmanager",
        endpoint_url=endpoint,
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    client.create_secret(Name="cache-secret", SecretString="first")
    assert read_secret("cache-secret") == "first"
    client.put_secret_value(SecretId="cache-secret", SecretString="second")
    assert read_secret("cache-secret") == "second"
    with pytest.raises(
        ConfigurationError, match=r"the secret nobody cannot be read: HTTP 40[04] ResourceNotFoundException"
    ):
        read_secret("nobody")
