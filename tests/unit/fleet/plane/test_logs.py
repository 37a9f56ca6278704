from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.errors import InputError
from fleet.local.plane import log_shipping, log_view
from fleet.local.plane.client import RunningPlane
from fleet.local.plane.log_shipping import Shipment
from fleet.local.plane.log_view import log_lines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "task.log"


def add(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def test_whole_lines_are_shipped_once_and_the_last_one_when_no_more_comes(log: Path) -> None:
    shipment = Shipment(log, "/group", "stream")
    assert shipment.read(is_last=False) == []
    add(log, "one\n\ntwo\nthr")
    assert shipment.read(is_last=False) == ["one", "two"]
    add(log, "ee")
    assert shipment.read(is_last=False) == []
    assert shipment.read(is_last=True) == ["three"]


def test_a_line_that_is_too_long_is_cut_and_does_not_hold_up_what_follows(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_shipping, "_LONGEST_LINE_BYTES", 4)
    shipment = Shipment(log, "/group", "stream")
    add(log, "123456\n1234567")
    assert shipment.read(is_last=False) == ["1234", "1234"]


def test_a_file_that_has_become_long_is_emptied_once_all_of_it_was_shipped(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_shipping, "_FULL_BYTES", 8)
    shipment = Shipment(log, "/group", "stream")
    add(log, "0123456789\n")
    shipment.read(is_last=False)
    add(log, "not yet\n")
    shipment.make_room()
    assert log.stat().st_size > 0
    shipment.read(is_last=False)
    shipment.make_room()
    assert log.stat().st_size == 0
    add(log, "and on\n")
    assert shipment.read(is_last=False) == ["and on"]


def plane(monkeypatch: pytest.MonkeyPatch, *statuses: dict[str, Any]) -> RunningPlane:
    left = list(statuses)
    monkeypatch.setattr(RunningPlane, "ask", lambda *_: left.pop(0) if len(left) > 1 else left[0])
    monkeypatch.setattr(log_view, "_LOOK_SECONDS", 0)
    return RunningPlane(1, "", "", 60, has_cache=True)


def status(*tasks: tuple[str, Path], node: Path | None = None) -> dict[str, Any]:
    told = [{"id": f"{name}0000000", "log": str(path)} for name, path in tasks]
    rows = [{"kind": "node", "name": "nats-1", "log": str(node)}] if node else []
    service = {"name": "player-nats", "tasks": told, "stopped": []}
    return {"tasks": {"follows": True, "services": [service]}, "nodes": {"rows": rows}}


def test_the_last_lines_of_every_task_are_shown_with_whose_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    add(one, "a\nb\nc\n")
    add(two, "d\n")
    told = plane(monkeypatch, status(("1", one), ("2", two)))
    assert list(log_lines(told, "player-nats", last=2, follow=False)) == ["10000000  b", "10000000  c", "20000000  d"]
    assert list(log_lines(told, "20000000", last=2, follow=False)) == ["20000000  d"]


def test_following_goes_on_with_what_comes_and_shows_a_new_task_from_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, new = tmp_path / "one", tmp_path / "two", tmp_path / "new"
    add(one, "old\nlast\n")
    add(two, "older\nlatest\n")
    add(new, "first\nsecond\n")
    both = [("1", one), ("2", two)]
    told = plane(monkeypatch, status(*both), status(*both), status(*both, ("3", new)))
    lines = log_lines(told, "player-nats", last=1, follow=True)
    assert [next(lines) for _ in range(2)] == ["10000000  last", "20000000  latest"]
    add(one, "more\n")
    assert [next(lines) for _ in range(3)] == ["10000000  more", "30000000  first", "30000000  second"]


def test_a_node_has_a_log_too_and_what_has_none_is_told_with_what_has(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(log, "listening\n")
    told = plane(monkeypatch, status(node=log))
    assert list(log_lines(told, "nats-1", last=5, follow=False)) == ["nats-1  listening"]
    assert list(log_lines(told, "player-nats", last=5, follow=False)) == []
    with pytest.raises(InputError, match=r"nothing is called 'nats-9'; .*, and nats-1"):
        list(log_lines(told, "nats-9", last=5, follow=False))
