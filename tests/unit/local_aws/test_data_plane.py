from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator

import pytest

from local_aws import data_plane
from local_aws.data_plane import DataPlane, DataPlaneError


@pytest.fixture(autouse=True)
def nobody() -> Iterator[None]:
    """Begin and end without a plane."""
    listeners = list(data_plane.on_beat)
    data_plane.tell({})
    yield
    data_plane.tell({})
    data_plane.on_beat[:] = listeners


def post(body: bytes, kind: str = "application/json") -> str:
    heard: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    data_plane.application(environ, lambda status, _headers: heard.append(status))
    return heard[0]


def test_a_plane_is_there_once_it_has_told_of_itself_and_away_when_it_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert data_plane.current() is None
    assert post(json.dumps({"control": "http://127.0.0.1:1", "token": "t", "minute_seconds": 5}).encode()) == "200 OK"
    plane = data_plane.current()
    assert plane is not None
    assert plane.minute_seconds == 5
    monkeypatch.setattr(data_plane, "SILENT_SECONDS", 0)
    assert data_plane.current() is None


def test_alarms_have_minutes_as_long_as_a_plane_measures() -> None:
    assert data_plane.minute_seconds() is None
    data_plane.tell({"control": "http://127.0.0.1:1", "minute_seconds": 5, "measures": False})
    assert data_plane.minute_seconds() is None, "it starts, and knows nothing yet"
    data_plane.tell({"control": "http://127.0.0.1:1", "minute_seconds": 5, "measures": True})
    assert data_plane.minute_seconds() == 5.0


def test_a_plane_that_takes_its_leave_is_away_at_once() -> None:
    data_plane.tell({"control": "http://127.0.0.1:1"})
    data_plane.tell({})
    assert data_plane.current() is None


def test_who_listens_hears_what_a_plane_tells() -> None:
    heard: list[DataPlane] = []
    data_plane.on_beat.append(heard.append)
    data_plane.tell({"control": "http://127.0.0.1:1", "machines": {"i-1": "nats-1"}})
    assert [plane.told["machines"] for plane in heard] == [{"i-1": "nats-1"}]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "text/plain", "405 Method Not Allowed"),
        (b"{", "application/json", "400 Bad Request"),
        (b"[]", "application/json", "400 Bad Request"),
    ],
)
def test_what_is_no_plane_is_refused(body: bytes, kind: str, status: str) -> None:
    assert post(body, kind) == status


def test_asking_one_that_is_gone_is_an_error_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DataPlaneError, match="the data plane does not answer"):
        DataPlane({"control": f"http://127.0.0.1:{port}", "token": "t"}, 0).call("status", {}, 5)
