"""What an entry becomes, and who said so."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import CatalogError
from catalog.explain import Key, explained

CASES = Path(__file__).parents[2] / "cases"
REPLACED = CASES / "good" / "replaced_defaults.yaml"


@pytest.fixture(name="keys")
def keys_of_an_entry() -> dict[str, Key]:
    found = explained(REPLACED, "quest-nats")
    assert found is not None
    service, keys = found
    assert service.name == "quest-nats"
    return {key.key: key for key in keys}


@pytest.mark.parametrize(
    ("key", "value", "origin", "line"),
    [
        ("group", "game", "entry", 22),
        ("environment.LOG_LEVEL", "debug", "entry", 29),
        ("environment.REGION", "north", "defaults", 17),
        ("autoscaling", None, "entry", 27),
        ("replicas", 4, "defaults", 11),
        ("image.tag", None, "entry", 25),
        ("command", ["python", "-m", "service"], "defaults", 18),
        ("cpu", 256, "built in", None),
        ("health_check.path", "/health", "built in", None),
    ],
)
def test_every_value_says_where_it_is_from(
    keys: dict[str, Key], key: str, value: object, origin: str, line: int | None
) -> None:
    assert (keys[key].value, keys[key].origin, keys[key].line) == (value, origin, line)


def test_every_key_says_what_it_means(keys: dict[str, Key]) -> None:
    free = {"environment.LOG_LEVEL", "environment.REGION"}  # the user's own

    assert keys["health_check.retries"].description == "Failed checks in a row after which the task is replaced."
    assert {key for key, told in keys.items() if not told.description} == free
    assert "name" not in keys


def test_unknown_service() -> None:
    assert explained(REPLACED, "nobody") is None


def test_bad_catalog_is_not_explained() -> None:
    with pytest.raises(CatalogError):
        explained(CASES / "bad" / "cpu_size.yaml", "quest-nats")
