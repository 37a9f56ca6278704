"""Accounts under moto: no request leaves the process."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from local_aws.resources import moto_repairs
from tests.unit.fleet.right_account import REGION, Clients, RightAccount


@pytest.fixture(scope="session")
def clients() -> Clients:
    """Clients for every test: to make them takes longer than a test."""
    moto_repairs.apply()
    return Clients(boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION))


@pytest.fixture
def session(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    """A session over an empty account, whose every call moto answers."""
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # a quarter of a second, for nothing
    with mock_aws():
        yield clients.session


@pytest.fixture
def right(session: boto3.Session, clients: Clients) -> RightAccount:
    """The account that is as its catalog wants it."""
    del session
    return RightAccount(clients).build()
