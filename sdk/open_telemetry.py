"""Spans and metrics for OpenTelemetry, where the process has it configured (`OTEL_EXPORTER_…` variables, or `telemetry=` by hand).

Only OpenTelemetry's interface is used; provider and exporter are the image's, as `opentelemetry-instrument` sets them up. Spans go on from
the trace that the caller sent, in the header `traceparent`, whether the caller has OpenTelemetry or not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TracerProvider

from sdk.errors import CallError
from sdk.trace import Trace


class OpenTelemetry:
    """What client and service tell of each call and each request.

    Args:
        tracer_provider: The process's own where not given.
        meter_provider: The process's own where not given.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._tracer = trace.get_tracer("sdk", tracer_provider=tracer_provider)
        meter = metrics.get_meter("sdk", meter_provider=meter_provider)
        self._durations = {
            kind: meter.create_histogram(f"rpc.{name}.duration", unit="s")
            for kind, name in ((SpanKind.CLIENT, "client"), (SpanKind.SERVER, "server"))
        }

    @contextmanager
    def span(self, subject: str, outer: Trace | None, *, is_ours: bool) -> Iterator[Trace]:
        """Have a span for a call, ours or one that is handled.

        Args:
            subject: What is asked.
            outer: Where in which trace it belongs.
            is_ours: Whether this process makes the call.
        """
        kind = SpanKind.CLIENT if is_ours else SpanKind.SERVER
        attributes = {"rpc.system": "nats", "rpc.method": subject}
        span = self._tracer.start_span(subject, context=_context(outer), kind=kind, attributes=attributes)
        place = span.get_span_context()
        started = time.perf_counter()
        failed: dict[str, str] = {}
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield Trace(f"{place.trace_id:032x}", f"{place.span_id:016x}", f"{place.trace_flags:02x}")
        except BaseException as error:
            failed = {"error.type": type(error).__name__}
            span.set_attributes(failed)
            # What a handler did not foresee may hold anything.
            span.set_status(Status(StatusCode.ERROR, error.message if isinstance(error, CallError) else None))
            raise
        finally:
            span.end()
            self._durations[kind].record(time.perf_counter() - started, {**attributes, **failed})


def _context(outer: Trace | None) -> Context | None:
    """Return the place of a trace as OpenTelemetry has it; None leaves it to what holds here."""
    if outer is None:
        return None
    context = SpanContext(
        int(outer.trace_id, 16), int(outer.span_id, 16), is_remote=True, trace_flags=TraceFlags(int(outer.flags, 16))
    )
    return trace.set_span_in_context(NonRecordingSpan(context))
