"""The document: all of the catalog, from what the messages say, and a page of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from catalog.contract import gateway_routes
from gateway import schemas
from gateway.openapi import document
from gateway.page import page
from gateway.routes import Routes
from proto.comments import comments
from tests.gateway_world import CATALOG, GATEWAY, contract_of

ROUTES = Routes.from_json(gateway_routes(CATALOG), contract_of(GATEWAY))
DOCUMENT = document(ROUTES, version="1.2.3", owner_fields={"player": "player_id"})


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"[{kind(schema['items'])}]"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"{{{kind(schema['additionalProperties'])}}}"
    return str(schema.get("format") or schema.get("contentEncoding") or schema.get("type", "any"))


def fields(schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    return ", ".join(
        f"{name}{'*' if name in required else ''}: {kind(each)}" for name, each in schema["properties"].items()
    )


def lines() -> Iterator[str]:
    """Give the whole document in short: what somebody who reviews a change of it wants to see."""
    for name, operation in operations():
        roles = "|".join(next(iter(operation["security"][0].values()))) if operation["security"] else "everyone"
        given = [
            f"{each['in']} {each['name']}{'*' if each.get('required') else ''}: {kind(each['schema'])}"
            for each in operation.get("parameters", ())
        ]
        if "requestBody" in operation:
            given.append(f"body {{{fields(operation['requestBody']['content']['application/json']['schema'])}}}")
        media, content = next(iter(operation["responses"]["200"]["content"].items()))
        answer = kind(operation.get("x-event", content["schema"]))
        yield f"{name} [{roles}] ({'; '.join(given)}) -> {media} {answer}; {' '.join(operation['responses'])}"
    for name, schema in DOCUMENT["components"]["schemas"].items():
        yield f"{name}: {'|'.join(schema['enum'])}" if "enum" in schema else f"{name} {{{fields(schema)}}}"


def test_the_document_changed_only_where_it_was_meant_to(snapshot: SnapshotAssertion) -> None:
    assert "\n".join(lines()) == snapshot


def test_every_route_is_an_operation_with_a_name_of_its_own() -> None:
    names = [operation["operationId"] for _, operation in operations()]
    assert len(names) == len(set(names)) == len(CATALOG.routes)


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    text = str(DOCUMENT)
    parts = DOCUMENT["components"]
    for place, name in re.findall(r"#/components/(\w+)/([\w.]+)", text):
        assert name in parts[place]
    for name in parts["schemas"]:
        assert f"#/components/schemas/{name}'" in text


def test_every_message_and_field_is_explained() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema.get("description"), name
        for field, each in schema.get("properties", {}).items():
            assert each.get("description") or name == "Problem", f"{name}.{field}"


class Page(HTMLParser):
    """What a page holds that could do or fetch something, and where it leads."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[name] for name in ("href", "src") if name in given]
        assert not [name for name in given if name.startswith("on") or name == "style"]


@pytest.fixture(scope="module")
def shown() -> Page:
    parser = Page()
    parser.feed(page(DOCUMENT).decode())
    return parser


def test_the_page_fetches_nothing_and_runs_nothing(shown: Page) -> None:
    assert not shown.tags & {"script", "img", "link", "iframe", "form", "object"}


def test_every_link_of_the_page_leads_somewhere(shown: Page) -> None:
    assert len(shown.ids) == len(set(shown.ids))
    assert {link for link in shown.links if link != "/openapi.json"} <= {f"#{name}" for name in shown.ids}


def test_what_a_comment_says_is_text_and_no_html(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "comments", lambda file: {k: f"<script>{v}" for k, v in comments(file).items()})
    shown = page(document(ROUTES, version="<b>"))
    assert b"<script>" not in shown
    assert b"&lt;script&gt;" in shown


def test_what_nothing_is_said_of_is_documented_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "comments", lambda _: {})
    bare = document(ROUTES, version="1")
    assert bare["paths"].keys() == DOCUMENT["paths"].keys()
    page(bare)
