"""`aws`, as far as the machines' agent and their scripts use it, against the local AWS: `s3 cp`, `s3api get-object`, `logs`.

It is called some twenty times while a machine boots, so it loads little: no boto3, no `urllib`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import IO

from fleet.local.plane.tools import web

_OK = 200
_FAILED = 254  # as the real one ends when AWS answers with an error
_USAGE = 252
_MISSING = 404


class AwsError(Exception):
    """The answer is an error; the text is what the real command line says."""


def main(words: list[str]) -> int:
    """Carry a command out; return its exit code."""
    commands = {
        "s3 cp": _copy,
        "s3api get-object": _get_object,
        "logs create-log-stream": _create_log_stream,
        "logs put-log-events": _put_log_events,
    }
    command = commands.get(" ".join(words[:2]))
    if command is None:
        sys.stderr.write(f"aws: error: {' '.join(words[:2])} is nothing that a local machine needs\n")
        return _USAGE
    try:
        command(words[2:])
    except AwsError as error:
        sys.stderr.write(f"\n{error}\n")
        return _FAILED
    except OSError as error:
        sys.stderr.write(f"\nCould not connect to the endpoint URL of the local AWS: {error}\n")
        return 255
    return 0


def _options(words: list[str], flags: tuple[str, ...] = ()) -> tuple[dict[str, str], list[str]]:
    """Take `--name value` and `--name=value` apart from what is given by its place."""
    options: dict[str, str] = {}
    places: list[str] = []
    rest = iter(words)
    for word in rest:
        if not word.startswith("--"):
            places.append(word)
            continue
        name, given, value = word[2:].partition("=")
        options[name] = value if given or name in flags else next(rest, "")
    return options, places


def _copy(words: list[str]) -> None:
    _, (source, target) = _options(words, ("only-show-errors",))
    if source.startswith("s3://"):
        _write(_object("GET", source[5:], "GetObject"), target)
        return
    if source == "-":
        import tempfile  # noqa: PLC0415 - slow to load, and most commands need none

        # To its end first: an object must not appear when whoever writes it is killed in the middle.
        with tempfile.TemporaryFile() as whole:
            while chunk := sys.stdin.buffer.read(web.CHUNK_BYTES):
                whole.write(chunk)
            _object("PUT", target[5:], "PutObject", whole)
    else:
        with open(source, "rb") as file:  # noqa: PTH123 - less to load
            _object("PUT", target[5:], "PutObject", file)


def _get_object(words: list[str]) -> None:
    options, (target,) = _options(words)
    version = f"?versionId={options['version-id']}" if options.get("version-id") else ""
    _write(_object("GET", f"{options['bucket']}/{options['key']}{version}", "GetObject"), target)


def _write(answer: web.Answer, target: str) -> None:
    if target == "-":
        for chunk in answer.chunks():
            sys.stdout.buffer.write(chunk)
        return
    with open(target, "wb") as file:  # noqa: PTH123
        for chunk in answer.chunks():
            file.write(chunk)


def _object(method: str, path: str, operation: str, body: IO[bytes] | bytes = b"") -> web.Answer:
    answer = _ask("s3", method, f"/{path}", body, {})
    if answer.status == _OK:
        return answer
    told = answer.read().decode(errors="replace")
    code, message = _between(told, "Code") or str(answer.status), _between(told, "Message")
    if answer.status == _MISSING and not told:
        code, message = "404", "Not Found"
    raise AwsError(f"An error occurred ({code}) when calling the {operation} operation: {message}")


def _between(text: str, tag: str) -> str:
    return text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]


def _create_log_stream(words: list[str]) -> None:
    options, _ = _options(words)
    names = {"logGroupName": options["log-group-name"], "logStreamName": options["log-stream-name"]}
    _logs("CreateLogStream", names)


def _put_log_events(words: list[str]) -> None:
    options, _ = _options(words)
    with open(options["log-events"].removeprefix("file://"), encoding="utf-8") as file:  # noqa: PTH123
        events = json.load(file)
    names = {"logGroupName": options["log-group-name"], "logStreamName": options["log-stream-name"]}
    _logs("PutLogEvents", {**names, "logEvents": events})


def _logs(operation: str, request: Mapping[str, object]) -> None:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Logs_20140328.{operation}"}
    answer = _ask("logs", "POST", "/", json.dumps(request).encode(), headers)
    told = answer.read()
    if answer.status != _OK:
        error = json.loads(told)
        code, message = str(error.get("__type", answer.status)), error.get("message", "")
        raise AwsError(f"An error occurred ({code}) when calling the {operation} operation: {message}")


def _ask(service: str, method: str, path: str, body: IO[bytes] | bytes, headers: dict[str, str]) -> web.Answer:
    # Where it is says its own file, at each call: one that was started anew may be elsewhere.
    with open(os.environ["MACHINE_AWS"], encoding="utf-8") as file:  # noqa: PTH123
        server = json.load(file)
    # The local AWS reads of a signature for whom it is, and checks none.
    scope = f"Credential=local/20200101/{server['region']}/{service}/aws4_request"
    signed = {**headers, "Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=local"}
    return web.ask(server["endpoint"], method, path, signed, body)
