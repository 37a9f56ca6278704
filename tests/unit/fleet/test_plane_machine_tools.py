"""What stands on a local machine for AWS's command line, for systemd's and for its journal."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fleet.local.plane.tools import aws, journalctl, systemctl

MISSING = b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """Answers like the local AWS, and like the plane, and keeps what it was asked."""

    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """By path; all else is missing."""
    asked: list[Asked] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.asked.append(Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, told = made.answers.get(self.path, (404, MISSING))
            self.send_response(status)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_PUT = do_POST = answer  # noqa: N815 - the library calls them so

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        made.address = f"http://127.0.0.1:{listening.server_port}"
        threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        (tmp_path / "server.json").write_text(json.dumps({"endpoint": made.address, "region": "us-east-1"}))
        (tmp_path / "plane.json").write_text(json.dumps({"control": made.address, "token": "secret"}))
        monkeypatch.setenv("MACHINE_AWS", str(tmp_path / "server.json"))
        monkeypatch.setenv("MACHINE_CONTROL", str(tmp_path / "plane.json"))
        monkeypatch.setenv("MACHINE_NODE", "nats-2")
        monkeypatch.setenv("MACHINE_ROOT", str(tmp_path))
        yield made
        listening.shutdown()


def given(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_an_object_is_fetched_by_its_version_for_s3(server: Server, tmp_path: Path) -> None:
    server.answers["/b/ca/current.json?versionId=v1"] = (200, b"held")
    words = ["get-object", "--region", "us-east-1", "--bucket", "b", "--key=ca/current.json", "--version-id=v1"]
    assert aws.main(["s3api", *words, str(tmp_path / "target")]) == 0
    assert (tmp_path / "target").read_bytes() == b"held"
    assert "/s3/aws4_request" in server.asked[0].headers["authorization"]


@pytest.mark.parametrize("target", ["-", "file"])
def test_an_object_is_copied_to_where_it_is_wanted(
    server: Server, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], target: str
) -> None:
    server.answers["/b/key"] = (200, b"x" * 3_000_000)
    place = target if target == "-" else str(tmp_path / target)
    assert aws.main(["s3", "cp", "--only-show-errors", "--region", "us-east-1", "s3://b/key", place]) == 0
    sys.stdout.flush()
    found = capfdbinary.readouterr().out if target == "-" else Path(place).read_bytes()
    assert found == b"x" * 3_000_000


def test_what_is_written_piece_by_piece_becomes_one_object(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers["/b/backups/1"] = (200, b"")
    given(monkeypatch, b"y" * 3_000_000)
    assert aws.main(["s3", "cp", "--only-show-errors", "--expected-size=9", "-", "s3://b/backups/1"]) == 0
    assert [(each.method, each.body) for each in server.asked] == [("PUT", b"y" * 3_000_000)]


def test_what_is_not_there_is_told_as_the_real_command_line_tells_it(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert aws.main(["s3", "cp", "s3://b/nothing", "-"]) == 254
    assert (
        capsys.readouterr().err.strip()
        == "An error occurred (NoSuchKey) when calling the GetObject operation: The specified key does not exist."
    )
    assert server.asked


def test_a_local_aws_that_does_not_answer_is_a_failure_without_a_traceback(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "server.json").write_text(json.dumps({"endpoint": "http://127.0.0.1:1", "region": "us-east-1"}))
    assert aws.main(["s3", "cp", "s3://b/key", "-"]) == 255
    assert "Could not connect" in capsys.readouterr().err
    assert not server.asked


def test_events_are_put_into_their_stream_and_an_error_names_its_kind(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "events").write_text(json.dumps([{"timestamp": 1, "message": "m"}]))
    words = ["--log-group-name=/g", "--log-stream-name=s", f"--log-events=file://{tmp_path / 'events'}"]
    server.answers["/"] = (400, json.dumps({"__type": "ResourceNotFoundException", "message": "no stream"}).encode())
    assert aws.main(["logs", "put-log-events", *words, "--region", "us-east-1"]) == 254
    assert "(ResourceNotFoundException)" in capsys.readouterr().err
    server.answers["/"] = (200, b"{}")
    assert aws.main(["logs", "put-log-events", *words]) == 0
    assert json.loads(server.asked[-1].body)["logEvents"] == [{"timestamp": 1, "message": "m"}]
    assert server.asked[-1].headers["x-amz-target"] == "Logs_20140328.PutLogEvents"


def test_what_no_machine_needs_is_refused(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert aws.main(["ec2", "describe-instances"]) == 252
    assert "ec2 describe-instances" in capsys.readouterr().err
    assert not server.asked


def test_systemd_is_the_plane_which_says_how_it_ended(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers["/systemctl"] = (200, json.dumps({"code": 5, "said": "not found"}).encode())
    assert systemctl.main(["start", "nats-server.service"]) == 5
    assert capsys.readouterr().err == "not found\n"
    assert json.loads(server.asked[0].body) == {"node": "nats-2", "words": ["start", "nats-server.service"]}
    assert server.asked[0].headers["authorization"] == "Bearer secret"


def test_without_a_plane_systemd_cannot_be_reached(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plane.json").unlink()
    assert systemctl.main(["stop", "nats-server.service"]) == 1
    assert "Failed to connect to bus" in capsys.readouterr().err
    assert not server.asked


@pytest.fixture
def log(server: Server, tmp_path: Path) -> Path:
    path = tmp_path / "var/log/nats-server.log"
    path.parent.mkdir(parents=True)
    assert not server.asked
    return path


def read(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert journalctl.main(["--unit=nats-server.service", "--output=json", "--no-pager", *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_journal_goes_on_after_the_cursor_and_never_tells_half_a_line(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = time.strftime("%Y/%m/%d %H:%M:%S")
    log.write_text(f"[1] {now}.250000 [INF] first\n[1] {now}.500000 [ERR] sec")
    (first,) = read(capsys, "--since=-1h")
    assert first["MESSAGE"].endswith("[INF] first")
    assert int(first["__REALTIME_TIMESTAMP"]) % 1_000_000 == 250_000
    with log.open("a") as file:
        file.write("ond\n")
    (second,) = read(capsys, f"--after-cursor={first['__CURSOR']}")
    assert second["MESSAGE"].endswith("[ERR] second")
    assert read(capsys, f"--after-cursor={second['__CURSOR']}") == []


def test_a_log_that_began_anew_is_read_from_its_beginning(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_text("a line that says nothing of the time\n")
    assert len(read(capsys, "--after-cursor=4000")) == 1


def test_the_last_lines_are_told_as_they_are(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log.write_text("one\ntwo\nthree\n")
    assert journalctl.main(["--unit", "nats-server.service", "--lines", "2", "--output", "cat", "--no-pager"]) == 0
    assert capsys.readouterr().out == "two\nthree\n"


def test_a_server_that_never_logged_has_an_empty_journal(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(capsys, "--since=-1h") == []
    assert not server.asked
