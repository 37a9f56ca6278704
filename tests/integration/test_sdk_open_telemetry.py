"""Spans and durations of a call over a real server, as OpenTelemetry's own SDK sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from sdk import NotFoundError, Trace
from sdk.open_telemetry import OpenTelemetry
from sdk.trace import set_trace
from tests.integration.sdk_pair import pair
from tests.nats_world import ACCEPT, GET, World, world

pytestmark = pytest.mark.integration


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


async def test_caller_and_service_are_spans_of_the_trace_that_was_there(nats: World) -> None:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = OpenTelemetry(tracers, MeterProvider([reader]))

    async def refuse(_: str) -> None:
        raise NotFoundError("no such quest")

    async with pair(nats, client_options={"telemetry": telemetry}) as calls:
        assert calls.service.client is not None
        calls.service.client.telemetry = telemetry
        set_trace(Trace("a" * 32, "b" * 16))
        await calls.get()
        calls.answer = refuse
        with pytest.raises(NotFoundError) as failed:
            await calls.accept()
    assert failed.value.trace_id == "a" * 32
    spans = {(span.name, span.kind): span for span in exporter.get_finished_spans()}
    for subject in (GET, ACCEPT):
        asking, answering = spans[subject, SpanKind.CLIENT], spans[subject, SpanKind.SERVER]
        assert asking.context is not None
        assert asking.parent is not None
        assert answering.parent is not None
        assert f"{asking.context.trace_id:032x}" == "a" * 32
        assert f"{asking.parent.span_id:016x}" == "b" * 16
        assert answering.parent.span_id == asking.context.span_id
    assert spans[GET, SpanKind.CLIENT].status.is_ok
    for kind in (SpanKind.CLIENT, SpanKind.SERVER):
        assert (spans[ACCEPT, kind].attributes or {})["error.type"] == "NotFoundError"
    data = reader.get_metrics_data()
    assert data is not None
    names = {m.name for r in data.resource_metrics for scope in r.scope_metrics for m in scope.metrics}
    assert names == {"rpc.client.duration", "rpc.server.duration"}
