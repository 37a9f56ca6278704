"""What a command is given, and what is told to whoever gives something else."""

from __future__ import annotations

import base64
import json

import pytest

from nats_platform.node.__main__ import decoded
from nats_platform.node.configuration import Wanted
from nats_platform.node.deliver_certificates import RefusedError
from nats_platform.node.restore import restore
from nats_platform.node.settings import Settings
from nats_platform.node.status import LONGEST_CHARACTERS, on_a_line


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_an_argument_is_base64_of_a_json_object() -> None:
    assert decoded(encoded('{"key": "k"}')) == {"key": "k"}


@pytest.mark.parametrize("argument", ["", "no base64!", encoded("no json"), encoded("[]"), encoded("null")])
def test_another_argument_is_refused(argument: str) -> None:
    with pytest.raises(RefusedError, match="the argument is no"):
        decoded(argument)


@pytest.mark.parametrize(
    "plain", [{}, {"key": "k"}, {"key": "k", "sha256": "../../etc/passwd"}, {"key": "k", "sha256": "A" * 64}]
)
def test_a_configuration_is_named_by_key_and_checksum(plain: dict[str, str]) -> None:
    with pytest.raises(RefusedError, match=r"names no configuration|is no SHA-256"):
        Wanted.from_plain(plain)


def test_the_environment_must_say_everything_and_what_is_missing_is_told_at_once() -> None:
    with pytest.raises(
        RefusedError, match="NODES, ENVIRONMENT, REGION, BUCKET, CERTIFICATES_BUCKET, NODE_DOMAIN, LOG_GROUP"
    ):
        Settings.told({"NODE": "nats-1"})


@pytest.mark.parametrize("name", ["../secrets", "yesterday", ""])
def test_a_backup_is_named_by_its_time(name: str) -> None:
    settings = Settings.told(dict.fromkeys(
        ("NODE", "NODES", "ENVIRONMENT", "REGION", "BUCKET", "CERTIFICATES_BUCKET", "NODE_DOMAIN", "LOG_GROUP"), "x"
    ))  # fmt: skip

    with pytest.raises(RefusedError, match="is no backup"):
        restore(settings, {"backup": name})


def test_a_long_answer_is_compressed_and_a_short_one_can_be_read_as_it_is() -> None:
    fingerprints = [base64.b16encode(bytes([number % 256]) * 32).decode() for number in range(1000)]

    assert json.loads(on_a_line({"node": "nats-1"})) == {"node": "nats-1"}
    long = on_a_line({"peers": fingerprints})
    assert len(long) < LONGEST_CHARACTERS
    assert set(json.loads(long)) == {"z"}
