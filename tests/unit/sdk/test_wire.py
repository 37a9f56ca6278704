"""What crosses the wire: errors, deadlines, traces."""

from __future__ import annotations

import nats.js.api
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto.generated.gaming.errors.v1 import error_pb2
from sdk import (
    CallError,
    CircuitOpenError,
    ErrorCode,
    InternalServiceError,
    InvalidRequestError,
    NotFoundError,
    ResourceExhaustedError,
    RetryExhaustedError,
    ServiceUnavailableError,
    Violation,
)
from sdk.deadline import TIMEOUT_HEADER, timeout_of
from sdk.error_wire import (
    ERROR_CODE_HEADER,
    ERROR_HEADER,
    from_message,
    from_reply,
    is_error,
    to_headers,
    to_message,
)
from sdk.framing import check_subject, framed, header_lines
from sdk.trace import TRACE_HEADER, Trace, new_trace, trace_of


def subclasses(kind: type[CallError]) -> list[type[CallError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in subclasses(child))]


def crossed(error: CallError) -> CallError:
    message = to_message(error, service="quest-nats", endpoint="quest.get", trace_id="a" * 32)
    return from_reply(message.SerializeToString(), to_headers(message), endpoint="quest.get")


def test_every_code_of_the_protocol_has_a_class_and_the_other_way_round() -> None:
    wire = {name.removeprefix("ERROR_CODE_"): number for name, number in error_pb2.ErrorCode.items() if number}
    assert {code.name: int(code) for code in ErrorCode} == wire
    assert {kind.code for kind in subclasses(CallError)} == set(ErrorCode)


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_arrives_as_the_class_that_was_raised(code: ErrorCode) -> None:
    message = error_pb2.Error(code=error_pb2.ErrorCode.ValueType(code), message="why", service="quest-nats")
    error = from_message(message, endpoint="quest.get")
    assert (type(error).code, error.message, error.service, error.endpoint) == (code, "why", "quest-nats", "quest.get")


def test_all_that_an_error_knows_arrives() -> None:
    cause = ServiceUnavailableError("down", service="player-nats", endpoint="player.get")
    error = ResourceExhaustedError("full", retry_after_seconds=1.25)
    error.cause = cause
    arrived = crossed(error)
    assert isinstance(arrived, ResourceExhaustedError)
    assert (arrived.retryable, arrived.retry_after_seconds, arrived.trace_id) == (True, 1.25, "a" * 32)
    assert isinstance(arrived.cause, ServiceUnavailableError)
    assert (arrived.cause.service, arrived.cause.endpoint) == ("player-nats", "player.get")


def test_violations_arrive() -> None:
    violations = (Violation("labels[2]", "is empty; give one"), Violation("position.x", "is 7; at most 5"))
    arrived = crossed(InvalidRequestError(violations=violations))
    assert isinstance(arrived, InvalidRequestError)
    assert arrived.violations == violations
    assert arrived.message == "labels[2]: is empty; give one; position.x: is 7; at most 5"


def test_an_endless_chain_of_causes_is_cut() -> None:
    error = NotFoundError("the first")
    error.cause = error
    depth, arrived = 0, crossed(error)
    while arrived.cause is not None:
        depth, arrived = depth + 1, arrived.cause
    assert depth == 8


def test_a_breaker_that_is_open_elsewhere_is_not_ours() -> None:
    arrived = crossed(CircuitOpenError("open", retry_after_seconds=30))
    assert isinstance(arrived, CircuitOpenError)
    assert not arrived.is_local
    assert arrived.retry_after_seconds == 30


def test_an_exhausted_call_of_another_service_arrives_with_its_cause() -> None:
    arrived = crossed(RetryExhaustedError("all failed", errors=[NotFoundError("one"), ServiceUnavailableError("two")]))
    assert isinstance(arrived, RetryExhaustedError)
    assert isinstance(arrived.cause, ServiceUnavailableError)


@given(text=st.text())
def test_no_message_breaks_the_headers(text: str) -> None:
    headers = to_headers(to_message(InternalServiceError(text)))
    assert headers[ERROR_HEADER].isprintable()
    assert len(headers[ERROR_HEADER]) <= 1000


@given(data=st.binary(), code=st.text(), told=st.text())
def test_whatever_calls_itself_an_error_is_one(data: bytes, code: str, told: str) -> None:
    headers = {ERROR_CODE_HEADER: code, ERROR_HEADER: told}
    assert is_error(headers)
    assert isinstance(from_reply(data, headers, endpoint="quest.get"), CallError)


def test_an_error_of_another_framework_keeps_its_words() -> None:
    error = from_reply(b"", {ERROR_HEADER: "out of coffee", ERROR_CODE_HEADER: "503"}, endpoint="quest.get")
    assert isinstance(error, InternalServiceError)
    assert error.message == "out of coffee (code 503)"


def test_a_code_of_a_newer_protocol_is_an_internal_error() -> None:
    message = error_pb2.Error(code=error_pb2.ErrorCode.ValueType(99), message="new")
    assert isinstance(from_message(message), InternalServiceError)


@pytest.mark.parametrize("headers", [None, {}, {"Nats-Msg-Id": "1"}])
def test_other_replies_are_no_errors(headers: dict[str, str] | None) -> None:
    assert not is_error(headers)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250", 0.25), ("0", 0.0), ("", None), ("-1", None), ("1.5", None), ("1e3", None), ("²", None), ("9" * 10, None),
     ("999999999", 3600.0)],
)  # fmt: skip
def test_a_timeout_is_read_or_is_none(text: str, seconds: float | None) -> None:
    assert timeout_of({TIMEOUT_HEADER: text}) == seconds


def test_a_trace_is_carried_on() -> None:
    trace = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "01")
    assert trace.header == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert trace_of({TRACE_HEADER: trace.header}) == trace
    assert trace.child().trace_id == trace.trace_id
    assert trace.child().span_id != trace.span_id


@pytest.mark.parametrize(
    "header",
    ["", "nonsense", f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'0' * 16}-01", f"ff-{'1' * 32}-{'1' * 16}-01",
     f"00-{'A' * 32}-{'1' * 16}-01", f"00-{'1' * 31}-{'1' * 16}-01"],
)  # fmt: skip
def test_what_is_no_trace_begins_a_new_one(header: str) -> None:
    trace = trace_of({TRACE_HEADER: header})
    assert trace_of({TRACE_HEADER: trace.header}) == trace
    assert trace.trace_id not in header


def test_traces_differ() -> None:
    assert len({new_trace().trace_id for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "subject", ["", " ", "a..b", ".a", "a.", "a b", "a\r\nPUB b 0", "a.*", "a.>", ">", "a\x00", "a\tb"]
)
def test_what_is_no_subject_to_send_to_is_refused(subject: str) -> None:
    with pytest.raises(InvalidRequestError, match="is no subject to send to"):
        check_subject(subject)


@pytest.mark.parametrize("subject", ["a", "quest.get", "$JS.API.INFO", "_INBOX.a.b", "player.q-17_é"])
def test_a_subject_is_taken(subject: str) -> None:
    check_subject(subject)


@given(value=st.text())
def test_no_value_of_a_header_makes_another_header_or_message(value: str) -> None:
    lines = header_lines({"X-Name": value})
    assert lines.count("\r") == lines.count("\n") == 1
    assert lines.startswith("X-Name: ")
    assert lines.endswith("\r\n")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é"])
def test_what_is_no_name_of_a_header_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="is no name of a header"):
        header_lines({name: "value"})


@given(payload=st.binary(), value=st.text(st.characters(codec="utf-8", exclude_characters="\r\n")))
def test_a_framed_message_says_how_long_it_is(payload: bytes, value: str) -> None:
    head, _, rest = framed("quest.get", "_INBOX.a.1", header_lines({"X": value}), payload).partition(b"\r\n")
    kind, subject, reply, header_bytes, all_bytes = head.split(b" ")
    assert (kind, subject, reply) == (b"HPUB", b"quest.get", b"_INBOX.a.1")
    assert len(rest) == int(all_bytes) + 2
    assert rest[int(header_bytes) : -2] == payload
    assert rest[: int(header_bytes)].endswith(b"\r\n\r\n")
    assert framed("a", "", "", payload) == b"PUB a  %d\r\n%s\r\n" % (len(payload), payload)


def test_a_header_that_is_named_by_a_member_of_nats_py_has_its_name() -> None:
    assert header_lines({nats.js.api.Header.EXPECTED_STREAM: "S"}) == "Nats-Expected-Stream: S\r\n"
