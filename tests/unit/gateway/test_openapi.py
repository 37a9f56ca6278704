"""The document: all of the catalog, from what the messages say, and a page of it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from syrupy.assertion import SnapshotAssertion

from catalog.contract import gateway_routes
from gateway.openapi import document
from gateway.page import page
from gateway.proto_comments import our_comments
from gateway.routes import Routes
from tests.gateway_world import CATALOG, GATEWAY, ROOT, contract_of

ROUTES = Routes.from_json(gateway_routes(CATALOG), contract_of(GATEWAY))
DOCUMENT = document(ROUTES, comments=our_comments(), version="1.2.3", owner_fields={"player": "player_id"})


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


def test_comments_are_what_the_compiler_of_protobuf_finds(tmp_path: Path) -> None:
    target = tmp_path / "all.pb"
    files = sorted(str(path) for path in (ROOT / "proto/gaming").rglob("*.proto"))
    arguments = [f"--proto_path={ROOT / 'proto'}", "--include_source_info", f"--descriptor_set_out={target}", *files]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)
    found: dict[str, str] = {}
    for file in FileDescriptorSet.FromString(target.read_bytes()).file:
        for place in file.source_code_info.location:
            name = named(file, list(place.path)) if place.leading_comments else None
            if name:
                found[name] = " ".join(line.strip() for line in place.leading_comments.strip().split("\n"))
    assert our_comments() == found


def named(file: Any, path: list[int]) -> str | None:
    """Return the full name of what a place in a file declares, by the numbers of descriptor.proto."""
    match path:
        case [4, message]:
            return f"{file.package}.{file.message_type[message].name}"
        case [4, message, 2, field]:
            return f"{file.package}.{file.message_type[message].name}.{file.message_type[message].field[field].name}"
        case [4, message, 8, _]:  # a oneof has no name in JSON: what is said of it counts as said of the message
            return None
        case [5, enum]:
            return f"{file.package}.{file.enum_type[enum].name}"
        case [5, enum, 2, value]:
            return f"{file.package}.{file.enum_type[enum].name}.{file.enum_type[enum].value[value].name}"
    return None


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


def test_what_a_comment_says_is_text_and_no_html() -> None:
    hostile = {name: f"<script>{text}" for name, text in our_comments().items()}
    assert b"<script>" not in page(document(ROUTES, comments=hostile, version="<b>"))


def test_without_the_files_there_is_a_document_without_explanations() -> None:
    bare = document(ROUTES, comments={}, version="1")
    assert bare["paths"].keys() == DOCUMENT["paths"].keys()
    page(bare)
