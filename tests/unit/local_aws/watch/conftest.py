"""moto with our repairs, without a server: each test finds it empty."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from moto.core.base_backend import BackendDict

from local_aws.clients import ServerClients
from local_aws.dispatch import Dispatcher, InProcess
from local_aws.resources import moto_repairs
from local_aws.watch.envelope import Letter
from local_aws.watch.post import Post

SERVER = "http://127.0.0.1:1"
REGION = "us-east-1"
ACCOUNT = "123456789012"


class Mailbox(Post):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__(SERVER, lambda _letter, _why: None, lambda: 0.0)
        self.letters: list[Letter] = []

    def send(self, letter: Letter) -> None:
        self.letters.append(letter)

    def told(self) -> list[tuple[str, str]]:
        """Return alarms and states of the notifications."""
        bodies = [json.loads(letter.message) for letter in self.letters if letter.kind == "Notification"]
        return [(body["AlarmName"], body["NewStateValue"]) for body in bodies]


@pytest.fixture(scope="session")
def in_process() -> ServerClients:
    moto_repairs.apply()
    return ServerClients(SERVER, InProcess(Dispatcher({})))


@pytest.fixture
def clients(in_process: ServerClients) -> Iterator[ServerClients]:
    BackendDict.reset()
    yield in_process
    BackendDict.reset()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    Post.current = mailbox = Mailbox()
    yield mailbox
    Post.current = None
