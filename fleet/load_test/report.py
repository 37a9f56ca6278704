"""A result as a page of HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from fleet.load_test.result import Result
from fleet.load_test.svg import Line, Mark, nines, percentile_axis, plot, time_axis
from fleet.load_test.verdict import Judgement, whole
from fleet.page import document, heading, table, tiles
from load_test.plan import Plan, Stage

_CURVE = tuple(100 - 100 / 10 ** (step / 20) for step in range(81))
_LATENCY = (
    "Latency counts from when a request was due, not from when it was sent; a request that nobody answered in time counts with its "
    "timeout, and other failures count as errors only."
)
_FIGURES = ("p50", "p90", "p99", "p99.9", "max")


def page(result: Result) -> str:
    """Return the page."""
    plain = result.to_plain()
    title = f"Load test of {plain['environment']}, {result.started_at:%Y-%m-%d %H:%M} UTC"
    parts = [
        heading(title, plain["verdict"], good=result.passed),
        f'<p class="dim">{escape(_told(result.plan))}.</p>',
        *(f'<p class="bad">Late: {escape(why)}.</p>' for why in result.spoiled_by),
        *(['<p class="bad">It was ended before its time.</p>'] if result.measured.was_stopped else []),
        _tiles(plain),
        f'<div class="plots">{"".join(_plots(result))}</div>',
        "<h2>Objectives</h2>",
        *_judgements(result),
        "<h2>Services and their subjects</h2>",
        _services(plain["services"]),
        *_errors(result, plain["summary"]["errors"]),
        "<h2>The workers themselves</h2>",
        _tester(plain["tester"]),
        f'<p class="dim">{_LATENCY} Catalog {escape(plain["catalog_digest"][:12])}.</p>',
    ]
    return document(title, parts)


def _tiles(plain: Mapping[str, Any]) -> str:
    summary = plain["summary"]
    return tiles(
        {
            "answers a second": f"{summary['rate']:,.1f}",
            "asked": f"{summary['due']:,}",
            "failed": f"{summary['error_percent']:g} %",
            "p50": f"{summary['p50_milliseconds']:.1f} ms",
            "p99": f"{summary['p99_milliseconds']:.1f} ms",
            "slowest": f"{summary['max_milliseconds']:.1f} ms",
        }
    )


def _plots(result: Result) -> Iterable[str]:
    measured, width = result.measured, result.measured.interval_seconds
    latency = whole(measured).latency
    wanted = {judgement.objective: judgement.wanted for judgement in result.judgements if judgement.service is None}
    curve = [(nines(percent), value / 1000) for percent, value in zip(_CURVE, latency.percentiles(_CURVE), strict=True)]
    yield plot("Latency by percentile", "ms", percentile_axis(), [Line("all services", curve, "one")])
    # The last answers may come after the last stage; what has nothing due has no latency to show.
    times = [(index * width, interval) for index, interval in enumerate(measured.intervals)]
    axis = time_axis(max(result.plan.seconds, width))
    asked = [(at, interval) for at, interval in times if interval.latency.number]

    def over_time(percent: float) -> list[tuple[float, float]]:
        return [(at, interval.latency.percentile(percent) / 1000) for at, interval in asked]

    marks = [Mark(f"p99 objective, {wanted['p99']:g} ms", wanted["p99"])]
    lines = [Line("max", over_time(100), "four"), Line("p99", over_time(99), "two"), Line("p50", over_time(50), "one")]
    highest = max((level for line in lines for _, level in line.points), default=0.0)
    yield plot(
        "Latency over time",
        "ms",
        axis,
        lines,
        # An objective far above everything would press the curves flat.
        [mark for mark in marks if mark.level <= 3 * highest],
    )
    within = [(at, interval) for at, interval in times if at < result.plan.seconds]
    yield plot(
        "Throughput",
        "a second",
        axis,
        [
            Line("due", [(at, interval.due / width) for at, interval in within], "four", is_area=True),
            Line("answered", [(at, interval.answered / width) for at, interval in within], "one"),
        ],
    )
    failed = [(at, interval.errors / width) for at, interval in within]
    yield plot("Errors", "a second", axis, [Line("failed", failed, "three", is_area=True)])


def _judgements(result: Result) -> Iterable[str]:
    together = [judgement for judgement in result.judgements if judgement.service is None]
    single = [judgement for judgement in result.judgements if judgement.service is not None]
    missed = [judgement for judgement in single if not judgement.good]
    yield _judged(together)
    yield f"<p>Of single services {len(single) - len(missed)} of {len(single)} are met.</p>"
    if missed:
        yield f"<details><summary>{len(missed)} are missed</summary>{_judged(missed)}</details>"


def _judged(judgements: Iterable[Judgement]) -> str:
    rows = []
    for judgement in judgements:
        whose, _, told = judgement.told().partition(": ")
        style, word = ("good", "met") if judgement.good else ("bad", "missed")
        rows.append((escape(whose), escape(told), f'<span class="{style}">{word}</span>'))
    return table(("of", "found and wanted", ""), rows, style="words")


def _services(services: Mapping[str, Any]) -> str:
    rows: list[tuple[str, ...]] = []
    styles: list[str] = []
    for name, part in services.items():
        rows.append((f"<b>{escape(name)}</b>", *_figures(part)))
        styles.append("")
        for subject, own in part["subjects"].items():
            rows.append((escape(subject), *_figures(own)))
            styles.append("part")
    headers = ("service, subject", "asked", "answers/s", "errors", *(f"{each} ms" for each in _FIGURES))
    return table(headers, rows, styles)


def _figures(part: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{part['due']:,}",
        f"{part['rate']:.1f}",
        f"{part['error_percent']:g} %",
        *(f"{part[f'{each}_milliseconds']:.1f}" for each in _FIGURES),
    )


def _errors(result: Result, errors: Mapping[str, int]) -> Iterable[str]:
    if not errors:
        return
    yield "<h2>Errors</h2>"
    samples = result.measured.samples
    rows = [
        (escape(kind), f"{number:,}", "<br>".join(map(escape, samples.get(kind, []))))
        for kind, number in errors.items()
    ]
    yield table(("type", "number", "the first of them"), rows, style="words")


def _tester(tester: Mapping[str, Any]) -> str:
    told = [
        ("late to send, half of all requests", f"{tester['lag_p50_milliseconds']:.2f} ms"),
        ("late to send, 99 of 100 at most", f"{tester['lag_p99_milliseconds']:.2f} ms"),
        ("late to send, at most", f"{tester['lag_max_milliseconds']:.2f} ms"),
        ("share of a processor, busiest second of the busiest worker", f"{tester['busiest_processor_share']:.0%}"),
        ("connections that were lost and made again", str(tester["reconnects"])),
    ]
    return table(("", ""), told, style="words")


def _told(plan: Plan) -> str:
    workers = "one worker" if plan.workers == 1 else f"{plan.workers} workers"
    return f"Run {plan.run}: {_stages(plan.stages)}; {workers}, {len(plan.targets)} subjects, seed {plan.seed}"


def _stages(stages: Sequence[Stage]) -> str:
    units = {"rate": "requests a second", "callers": "callers"}
    told = []
    for stage in stages:
        load = f"{stage.end:g}" if stage.begin == stage.end else f"{stage.begin:g} to {stage.end:g}"
        told.append(f"{stage.seconds:g} s of {load} {units[stage.kind]}{'' if stage.measured else ' (warm-up)'}")
    return ", then ".join(told)
