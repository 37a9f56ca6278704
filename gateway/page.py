"""The page at `/docs`: the OpenAPI document for people, made once, without a script and without anything from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from gateway.problems import KINDS

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --dim: #777; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 0 auto; padding: 1.5rem; }
h1 { margin: 0; font-size: 1.7rem; } h2 { margin: 2.2rem 0 .6rem; font-size: 1.2rem; border-bottom: 1px solid var(--line); }
h3 { margin: 1rem 0 .3rem; font-size: .95rem; } p { margin: .4rem 0; } nav a { margin-right: .8rem; white-space: nowrap; }
code, pre { font: .87rem/1.5 ui-monospace, monospace; } pre { background: var(--soft); padding: .6rem .8rem; overflow-x: auto; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .45rem 0; }
details > div { padding: .2rem .9rem .8rem; border-top: 1px solid var(--line); }
summary { cursor: pointer; padding: .45rem .7rem; display: flex; gap: .7rem; align-items: baseline; flex-wrap: wrap; }
summary b { width: 4.2rem; text-align: center; border-radius: .25rem; color: #fff; font-size: .78rem; padding: .1rem 0; }
.get { background: #1c6fb8; } .post { background: #23803f; } .put, .patch { background: #9a5b00; } .delete { background: #b3303a; }
summary span { color: var(--dim); } .who { margin-left: auto; font-size: .82rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; }
tr + tr td { border-top: 1px solid var(--line); } th { font-size: .82rem; color: var(--dim); } .kind { white-space: nowrap; width: 1%; padding-right: 1.5rem; }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of the page: it may do nothing but look as it does."""
_CODE = re.compile(r"`([^`]+)`")


def page(document: Mapping[str, Any]) -> bytes:
    """Return the page of a document."""
    return "".join(_page(document)).encode()


def _page(document: Mapping[str, Any]) -> Iterator[str]:
    info, paths = document["info"], document["paths"]
    schemas = document["components"]["schemas"]
    tags = [tag["name"] for tag in document["tags"]]
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><body>'
    yield f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1><p>{_prose(info['description'])}</p>"
    yield '<p>The same for programs: <a href="/openapi.json">openapi.json</a></p><nav>'
    yield "".join(f'<a href="#{tag}">{tag}</a>' for tag in tags)
    yield '<a href="#messages">messages</a><a href="#problems">problems</a></nav>'
    for tag in tags:
        yield f'<section><h2 id="{tag}">{escape(tag)}</h2>'
        for path, operations in paths.items():
            for method, operation in operations.items():
                if tag in operation["tags"]:
                    yield from _operation(method, path, operation)
        yield "</section>"
    yield '<h2 id="messages">Messages</h2>'
    for name, schema in schemas.items():
        yield from _message(name, schema)
    yield '<h2 id="problems">Problems</h2><table><tr><th>kind<th>status<th>meaning</tr>'
    for name, kind in KINDS.items():
        yield f'<tr id="problem-{name}"><td><code>{name}</code><td>{kind.status}<td>{escape(kind.title)}</tr>'
    yield "</table></body></html>\n"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    roles = next(iter(operation["security"][0].values())) if operation["security"] else ["everyone"]
    yield f'<details id="{operation["operationId"]}"><summary><b class="{method}">{method.upper()}</b><code>{escape(path)}</code>'
    yield f'<span>{_prose(operation.get("summary", ""))}</span><span class="who">{escape(", ".join(roles))}</span></summary><div>'
    if "description" in operation:
        yield f"<p>{_prose(operation['description'])}</p>"
    if operation.get("parameters"):
        yield "<h3>Path, query and headers</h3>"
        yield from _fields(
            (each["name"], each["in"], each["schema"], each.get("required", False), each.get("description", ""))
            for each in operation["parameters"]
        )
    if "requestBody" in operation:
        yield "<h3>Body</h3>"
        yield from _properties(operation["requestBody"]["content"]["application/json"]["schema"])
    answer = operation["responses"]["200"]
    schema = next(iter(answer["content"].values()))["schema"]
    yield f"<h3>Answer</h3><p>{_kind(operation.get('x-event', schema))}: {_prose(answer['description'])}</p>"
    refusals = ", ".join(status for status in operation["responses"] if status != "200")
    yield f'<h3>Refusals</h3><p><a href="#problems">{refusals}</a></p></div></details>'


def _message(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    description = schema.get("description", "")
    yield f'<details id="{name}"><summary><code>{escape(name)}</code><span>{_prose(description.partition(chr(10))[0])}</span></summary><div>'
    if "enum" in schema:
        lines = [line.removeprefix("- ") for line in description.split("\n")[1:]] or [
            f"`{each}`" for each in schema["enum"]
        ]
        yield f"<p>{'<br>'.join(map(_prose, lines))}</p>"
    else:
        yield from _properties(schema)
    yield "</div></details>"


def _properties(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    yield from _fields(
        (name, "", each, name in required, each.get("description", "")) for name, each in schema["properties"].items()
    )


def _fields(rows: Iterable[tuple[str, str, Mapping[str, Any], bool, str]]) -> Iterator[str]:
    yield "<table>"
    is_empty = True
    for name, place, schema, is_required, text in rows:
        is_empty = False
        mark = "<b>*</b>" if is_required else ""
        where = f" <small>{place}</small>" if place else ""
        yield f'<tr><td class="kind"><code>{escape(name)}</code>{mark}{where}<td class="kind">{_kind(schema)}<td>{_prose(text)}</tr>'
    if is_empty:
        yield "<tr><td>Nothing.</tr>"
    yield "</table>"


def _kind(schema: Mapping[str, Any]) -> str:
    """Return what a value is, in a word."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{escape(name.rpartition(".")[2])}</a>'
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_kind(schema['additionalProperties'])}"
    return escape(schema.get("format") or schema.get("type") or "any JSON")


def _prose(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
