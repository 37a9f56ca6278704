"""Settings: read as they are meant, and refused all at once."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from catalog.names import PLATFORM_VARIABLES
from gateway.settings import GatewaySettings
from sdk import ConfigurationError

VARIABLES = [str(each.metadata["variable"]) for each in dataclasses.fields(GatewaySettings)]


def test_nothing_need_be_set() -> None:
    assert GatewaySettings.from_environment({}) == GatewaySettings()


def test_all_kinds_are_read() -> None:
    made = GatewaySettings.from_environment(
        {
            "GATEWAY_PORT": "80",
            "GATEWAY_RATE_A_CALLER": "0.5",
            "GATEWAY_JWKS": "/etc/keys.json",
            "GATEWAY_JWT_ISSUER": "i",
            "GATEWAY_JWT_AUDIENCE": "a",
            "GATEWAY_CORS_ORIGINS": "https://a.example.com, http://localhost:3000",
            "GATEWAY_OWNER_FIELDS": '{"player": "player_id"}',
            "GATEWAY_ACCESS_LOG": "all",
        }
    )
    assert (made.port, made.rate_a_caller, made.access_log) == (80, 0.5, "all")
    assert made.cors_origins == {"https://a.example.com", "http://localhost:3000"}
    assert made.owner_fields == {"player": "player_id"}


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("GATEWAY_PORT", "-1"),
        ("GATEWAY_PORT", "٣"),
        ("GATEWAY_MAX_BODY_BYTES", "1MB"),
        ("GATEWAY_RATE_A_CALLER", "nan"),
        ("GATEWAY_RATE_A_CALLER", "-1"),
        ("GATEWAY_HEARTBEAT_SECONDS", "0"),
        ("GATEWAY_CORS_ORIGINS", "https://a.example.com/path"),
        ("GATEWAY_CORS_ORIGINS", "null"),
        ("GATEWAY_OWNER_FIELDS", "player"),
        ("GATEWAY_OWNER_FIELDS", '{"player": 3}'),
        ("GATEWAY_OWNER_FIELDS", "{"),
        ("GATEWAY_ACCESS_LOG", "some"),
        ("GATEWAY_JWKS", "/etc/keys.json"),
    ],
)
def test_what_is_wrong_is_told_by_its_name(variable: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=f"  {variable}"):
        GatewaySettings.from_environment({variable: text})


def test_a_key_that_could_be_guessed_is_refused_without_a_word_of_it() -> None:
    with pytest.raises(ConfigurationError, match="GATEWAY_VERIFIER_KEY is shorter") as caught:
        GatewaySettings.from_environment({"GATEWAY_VERIFIER_KEY": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_no_secret_shows_where_settings_are_printed() -> None:
    key = "a-key-that-nobody-is-to-see-1"
    assert key not in repr(GatewaySettings.from_environment({"GATEWAY_VERIFIER_KEY": key}))


def test_every_variable_is_explained_and_no_other() -> None:
    text = (Path(__file__).parents[3] / "docs/gateway.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(GATEWAY_\w+)`", text, re.MULTILINE)) == set(VARIABLES)


def test_what_an_entry_may_set_is_not_the_platforms() -> None:
    assert not set(VARIABLES) & set(PLATFORM_VARIABLES)
