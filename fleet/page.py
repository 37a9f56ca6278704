"""One page of HTML that needs nothing beside it: it can be sent, kept and read in ten years."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

_ALL = 100
_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1b1f24; --dim: #5b6570; --line: #d8dee4; --card: #f5f7f9;
  --one: #0b66c3; --two: #b35900; --three: #b3261e; --four: #9aa4ae; --good: #1a7f37; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #11161c; --text: #e4e9ee; --dim: #9aa6b2; --line: #2c3640; --card: #1a222b;
  --one: #5aaeff; --two: #f0a04b; --three: #ff7b72; --four: #6f7c88; --good: #56d364; --bad: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 24px; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 32px 0 8px; } p { margin: 4px 0; } .dim { color: var(--dim); }
.verdict { display: inline-block; padding: 2px 12px; border-radius: 12px; border: 2px solid; font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .odd { color: var(--two); }
.bar { width: 220px; height: 10px; border-radius: 5px; background: var(--line); overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--two); } .bar.whole i { background: var(--good); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 10px; margin: 18px 0; }
.tile { background: var(--card); border-radius: 8px; padding: 10px 14px; } .tile b { display: block; font-size: 20px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap: 18px; }
figure { margin: 0; background: var(--card); border-radius: 8px; padding: 12px; } figcaption { font-weight: 600; margin-bottom: 6px; }
svg { width: 100%; height: auto; display: block; } details { margin: 6px 0; } summary { cursor: pointer; } svg text { font: 11px system-ui, sans-serif; fill: var(--dim); }
.grid { stroke: var(--line); } .mark { stroke: var(--bad); stroke-dasharray: 5 4; }
polyline { fill: none; stroke-width: 1.8; } polyline.one { stroke: var(--one); } polyline.two { stroke: var(--two); }
polyline.three { stroke: var(--three); } polyline.four { stroke: var(--four); } polygon.three { fill: var(--three); opacity: .75; }
polygon.four { fill: var(--four); opacity: .35; }
.legend { font-weight: 400; font-size: 13px; margin-left: 8px; } .key { margin-right: 10px; } .key::before { content: "●"; margin-right: 4px; }
.key.one::before { color: var(--one); } .key.two::before { color: var(--two); } .key.three::before { color: var(--three); }
.key.four::before { color: var(--four); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 4px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--dim); } th:first-child, td:first-child, .words td, .words th { text-align: left; }
.words td { white-space: normal; } tr.part td { color: var(--dim); } tr.part td:first-child { padding-left: 28px; }
"""


def document(title: str, parts: Iterable[str]) -> str:
    """Return a page of these parts, which are HTML."""
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>{body}</body></html>\n"
    )


def heading(title: str, verdict: str, *, good: bool) -> str:
    """Return a page's heading, with what it comes to."""
    return f'<h1>{escape(title)} <span class="verdict {"good" if good else "bad"}">{escape(verdict)}</span></h1>'


def tiles(figures: Mapping[str, str]) -> str:
    """Return the figures that are looked at first, by what they say."""
    shown = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span class="dim">{escape(name)}</span></div>'
        for name, value in figures.items()
    )
    return f'<div class="tiles">{shown}</div>'


def bar(percent: float) -> str:
    """Return a bar of so many of 100 parts."""
    style = "whole" if percent >= _ALL else "part"
    return f'<div class="bar {style}"><i style="width:{min(percent, _ALL):.1f}%"></i></div>'


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], styles: Sequence[str] = (), *, style: str = "") -> str:
    """Return a table; its cells are HTML.

    Args:
        headers: The columns' names.
        rows: The cells.
        styles: A class a row.
        style: The table's class; `words` where the cells are no figures.
    """
    head = "".join(f"<th>{header}</th>" for header in headers)
    body = "".join(
        f'<tr class="{styles[index] if styles else ""}">{"".join(f"<td>{cell}</td>" for cell in row)}</tr>'
        for index, row in enumerate(rows)
    )
    return f'<div class="wide"><table class="{style}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
