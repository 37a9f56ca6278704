"""Plots as SVG inside a page: no script, no file beside it, colours from the page's own style."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 24, 14, 42
_TICKS = 5
_MOST_POINTS = 400

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve; its class is the colour that the page's style gives."""

    name: str
    points: Sequence[Point]
    style: str
    is_area: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A level that something is compared with."""

    name: str
    level: float


@dataclass(frozen=True, slots=True)
class Axis:
    """What runs along the bottom."""

    label: str
    ticks: Sequence[tuple[float, str]]
    first: float
    last: float


def plot(title: str, unit: str, axis: Axis, lines: Sequence[Line], marks: Sequence[Mark] = ()) -> str:
    """Return a plot with its legend."""
    levels = [level for line in lines for _, level in line.points]
    top = nice_top(max([*levels, *(mark.level for mark in marks)], default=0.0))
    span = axis.last - axis.first or 1.0

    def x(value: float) -> float:
        return _LEFT + (value - axis.first) / span * (WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - value / top * (HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}"><title>{escape(title)}</title>'
    ]
    for number in range(_TICKS + 1):
        level = top * number / _TICKS
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 8}" y="{y(level) + 4:.1f}" text-anchor="end">{short(level)}</text>'
        )
    for value, text in axis.ticks:
        parts.append(
            f'<text class="tick" x="{x(value):.1f}" y="{HEIGHT - _BOTTOM + 18}" text-anchor="middle">{escape(text)}</text>'
        )
    parts.append(
        f'<text class="tick" x="{WIDTH - _RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{escape(axis.label)}</text>'
    )
    parts.append(f'<text class="tick" x="2" y="{HEIGHT - 4}">{escape(unit)}</text>')
    parts += [_drawn(line, x, y) for line in lines]
    for mark in marks:
        parts.append(
            f'<line class="mark" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(mark.level):.1f}" y2="{y(mark.level):.1f}"/>'
        )
        parts.append(f'<text class="tick" x="{_LEFT + 6}" y="{y(mark.level) - 5:.1f}">{escape(mark.name)}</text>')
    parts.append("</svg>")
    legend = "".join(f'<span class="key {line.style}">{escape(line.name)}</span>' for line in lines)
    return f'<figure><figcaption>{escape(title)} <span class="legend">{legend}</span></figcaption>{"".join(parts)}</figure>'


def time_axis(seconds: float) -> Axis:
    """Return an axis of seconds since the start."""
    step = next((step for step in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600) if seconds / step <= 12), 7200)  # noqa: PLR2004  # ticks that fit
    ticks = [(float(at), f"{at} s") for at in range(0, int(seconds) + 1, step)]
    return Axis("time since the start", ticks, 0.0, seconds)


def percentile_axis() -> Axis:
    """Return an axis on which each nine takes as much room as the one before."""
    percents = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)
    return Axis("percentile", [(nines(percent), f"{percent:g}") for percent in percents], 0.0, nines(99.99))


def nines(percent: float) -> float:
    """Return how many nines a percentile has: 90 has one, 99 two."""
    return -math.log10(1 - percent / 100)


def nice_top(most: float) -> float:
    """Return a round number that is no less, for the top of a plot."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(factor * power for factor in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if factor * power >= most)


def short(value: float) -> str:
    """Return a number as a tick shows it."""
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:.4g}"  # noqa: PLR2004  # longer ones do not fit


def _drawn(line: Line, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    every = max(1, math.ceil(len(line.points) / _MOST_POINTS))
    points = [f"{x(at):.1f},{y(level):.1f}" for at, level in line.points[::every]]
    if not points:
        return ""
    if line.is_area:
        first, last = line.points[0][0], line.points[-1][0]
        return f'<polygon class="{line.style}" points="{x(first):.1f},{y(0):.1f} {" ".join(points)} {x(last):.1f},{y(0):.1f}"/>'
    return f'<polyline class="{line.style}" points="{" ".join(points)}"/>'
