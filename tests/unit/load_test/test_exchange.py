"""How a worker reads and writes the bucket."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from load_test.exchange import ExchangeError, S3Exchange
from sdk.aws import AwsError, Response

BROKEN = AwsError("the connection was reset")


class Answers:
    """S3 that answers as the test says, once each; the last one again and again."""

    region = "us-east-1"

    def __init__(self, *answers: Response | AwsError) -> None:
        self.sent: list[tuple[str, str, bytes]] = []
        self._answers = list(answers)

    def endpoint(self) -> None:
        return None

    def send(self, method: str, url: str, headers: object = None, body: bytes = b"") -> Response:
        del headers
        self.sent.append((method, url, body))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, AwsError):
            raise answer
        return answer


def exchange(monkeypatch: pytest.MonkeyPatch, answers: Answers) -> tuple[S3Exchange, list[float]]:
    monkeypatch.setattr("load_test.exchange.Aws", lambda _: answers)
    paused: list[float] = []
    return S3Exchange("a-bucket", "load-tests/runs/r/", paused.append), paused


def test_what_is_there_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(Response(200, b'{"at": 1.5}'))

    made, _ = exchange(monkeypatch, answers)

    assert made.read("start.json") == {"at": 1.5}
    assert answers.sent == [("GET", "https://a-bucket.s3.us-east-1.amazonaws.com/load-tests/runs/r/start.json", b"")]


@pytest.mark.parametrize("status", [403, 404])
def test_what_is_not_there_looks_like_a_refusal_to_who_may_not_list(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    assert exchange(monkeypatch, Answers(Response(status, b"")))[0].read("start.json") is None


def test_an_object_is_written_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(Response(200, b""))

    exchange(monkeypatch, answers)[0].write("ready-000.json", {"worker": 0})

    assert [(method, body) for method, _, body in answers.sent] == [("PUT", b'{"worker":0}')]


def test_a_refused_write_says_that_the_role_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExchangeError, match="HTTP 403; the task's role may not"):
        exchange(monkeypatch, Answers(Response(403, b"")))[0].write("ready-000.json", {})


@pytest.mark.parametrize("trouble", [[BROKEN], [Response(503, b"")], [BROKEN, Response(500, b""), BROKEN]])
def test_trouble_that_passes_costs_nothing_but_time(
    monkeypatch: pytest.MonkeyPatch, trouble: Sequence[Response | AwsError]
) -> None:
    made, paused = exchange(monkeypatch, Answers(*trouble, Response(200, b"{}")))

    assert made.read("plan.json") == {}
    assert paused == [0.5, 1.0, 2.0][: len(trouble)]


@pytest.mark.parametrize("trouble", [BROKEN, Response(503, b"")])
def test_trouble_that_stays_is_told(monkeypatch: pytest.MonkeyPatch, trouble: Response | AwsError) -> None:
    made, paused = exchange(monkeypatch, Answers(trouble))

    with pytest.raises(ExchangeError, match=r"load-tests/runs/r/plan\.json"):
        made.read("plan.json")

    assert len(paused) == 3
