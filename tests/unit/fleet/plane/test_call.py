from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from catalog import load_catalog, load_environment
from fleet.errors import InputError, WantingError
from fleet.local.plane.call import call_subject
from fleet.local.plane.client import RunningPlane

CATALOG = load_catalog(Path(__file__).parents[4] / "service_catalog.yaml")


async def asked(subject: str, text: str = "{}") -> str:
    account: Any = None  # it is refused, or fails, before anybody's account is looked at
    plane = RunningPlane(1, "", "", 60, has_cache=True)
    return await call_subject(CATALOG, load_environment("local"), account, plane, subject, text)


async def test_a_subject_that_nobody_answers_is_told_with_those_near_it() -> None:
    with pytest.raises(InputError, match=r"no service answers 'setings\.get'; near it: settings\.get"):
        await asked("setings.get")


async def test_what_may_not_be_asked_twice_is_not_asked() -> None:
    with pytest.raises(InputError, match="the identity loadtest is not let to ask it"):
        await asked("payment.create")


async def test_a_request_that_is_not_its_message_is_told_with_the_fields_of_that() -> None:
    with pytest.raises(
        InputError, match=r"the request is no gaming\.infrastructure\.v1\.GetSettingRequest: .*\n  its fields: name"
    ):
        await asked("settings.get", '{"nme": "x"}')


async def test_without_a_node_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunningPlane, "ask", lambda *_: {"nats_servers": []})
    with pytest.raises(WantingError, match="the local plane runs no NATS node"):
        await asked("settings.get", '{"name": "x"}')
