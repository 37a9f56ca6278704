"""What the tests of the functions stand on: an AWS in this process, and somebody who takes the answers to CloudFormation."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import boto3
import pytest
from moto import mock_aws

BUCKET = "certificates"
PASSPHRASE_SECRET = "passphrase"
PASSPHRASE = "forty-two letters that nobody will ever guess"
CLUSTER = "gaming-system-test"
# One for all tests: it has read the descriptions of the services, which takes longer than most tests.
SESSION = boto3.Session(region_name="us-east-1")


@dataclass
class Stack:
    """CloudFormation's end: where answers go, and what came."""

    url: str
    answers: list[dict[str, Any]] = field(default_factory=list)
    content_types: list[str | None] = field(default_factory=list)

    def request(self, request_type: str, **properties: Any) -> dict[str, Any]:
        """Return a request as CloudFormation sends it."""
        request = {
            "RequestType": request_type,
            "ResponseURL": self.url,
            "StackId": "arn:aws:cloudformation:us-east-1:1:stack/s/1",
            "RequestId": "r-1",
            "ResourceType": "Custom::Certificates",
            "LogicalResourceId": "Issued",
            "ResourceProperties": {"ServiceToken": "arn:aws:lambda:us-east-1:1:function:f", **properties},
        }
        return request if request_type == "Create" else {**request, "PhysicalResourceId": "s3://certificates"}


@pytest.fixture
def stack() -> Iterator[Stack]:
    """A stack that waits for answers."""
    told = Stack("")

    class Taker(BaseHTTPRequestHandler):
        protocol_version: ClassVar[str] = "HTTP/1.1"  # type: ignore[misc]

        def do_PUT(self) -> None:
            told.answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            told.content_types.append(self.headers["Content-Type"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Taker) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        told.url = f"http://127.0.0.1:{server.server_address[1]}/answer?signature=s"
        yield told
        server.shutdown()
        thread.join()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account with the bucket, the passphrase and the cluster, and the environment of the function."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "BUCKET": BUCKET,
        "PASSPHRASE_SECRET": PASSPHRASE_SECRET,
        "CLUSTER": CLUSTER,
        "STACK_PREFIX": "gaming-system-test-",
        "ENVIRONMENT": "test",
        "DELIVERY_DOCUMENT": "gaming-system-test-deliver-certificates",
        "DOCUMENT_PREFIX": "gaming-system-test-nats-",
        "WAIT_FOR_NODES": "true",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", SESSION)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        boto3.client("secretsmanager").create_secret(Name=PASSPHRASE_SECRET, SecretString=PASSPHRASE)
        boto3.client("ecs").create_cluster(clusterName=CLUSTER)
        yield
