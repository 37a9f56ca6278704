"""What holds for every catalog, and for every way to spoil one."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from catalog import Catalog, Fault, check_catalog, load_catalog
from catalog.compose import composed
from catalog.edit import add_service, disable_service, enable_service
from catalog.load import check_environment, check_source
from catalog.nodes import plain
from catalog.source import Source
from tests.strategies import as_document, as_yaml, catalogs

ROOT = Path(__file__).parents[2]
WHOLE = (ROOT / "service_catalog.yaml").read_text(encoding="utf-8")
PROD = (ROOT / "environments" / "prod.yaml").read_text(encoding="utf-8")

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(["", "a-nats", "0", "../..", "a.b", "*", "/", "x" * 300, "{a}", "<<", "sha256:", "yes"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
WORDS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=20)
PRINTABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
# A file that is written for each example is the same every time.
quietly = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(name="file")
def catalog_file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.yaml"


def text_of(catalog: Catalog) -> str:
    return as_yaml(as_document(catalog)).lstrip("\n") + "\n"


def assert_places_are_inside(faults: tuple[Fault, ...], text: str) -> None:
    lines = text.split("\n")
    for fault in faults:
        assert fault.line is not None
        assert fault.column is not None
        assert 1 <= fault.line <= len(lines)
        assert 1 <= fault.column <= len(lines[fault.line - 1]) + 1
        assert "\n" not in str(fault)


def assert_valid_or_told(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    checked = check_catalog(file)
    text = content.decode("utf-8", errors="replace").removeprefix("\ufeff")
    assert checked.catalog is not None or any(fault.severity == "error" for fault in checked.faults)
    assert_places_are_inside(checked.faults, text)


@given(catalog=catalogs(min_services=0))
@quietly
def test_every_valid_catalog_loads_as_it_was_written(file: Path, catalog: Catalog) -> None:
    file.write_text(text_of(catalog), encoding="utf-8")

    assert load_catalog(file) == catalog


@given(catalog=catalogs())
@quietly
def test_defaults_give_what_entries_leave_out(file: Path, catalog: Catalog) -> None:
    document = as_document(catalog)
    first, *_ = document["services"].values()
    document["defaults"] = {"architecture": first["architecture"], "health_check": first.pop("health_check")}
    del first["architecture"]
    file.write_text(as_yaml(document).lstrip("\n"), encoding="utf-8")

    assert load_catalog(file) == catalog


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from paths(child, (*path, key))


def holder_of(document: Any, path: tuple[str | int, ...]) -> Any:
    for part in path[:-1]:
        document = document[part]
    return document


@given(catalog=catalogs(max_services=2), data=st.data())
@quietly
def test_catalog_without_a_key_is_valid_or_told(file: Path, catalog: Catalog, data: st.DataObject) -> None:
    document = as_document(catalog)
    path = data.draw(st.sampled_from(list(paths(document))))
    del holder_of(document, path)[path[-1]]

    assert_valid_or_told(file, as_yaml(document).lstrip("\n").encode())


@given(catalog=catalogs(max_services=2), data=st.data(), value=VALUES)
@quietly
def test_catalog_with_another_value_is_valid_or_told(
    file: Path, catalog: Catalog, data: st.DataObject, value: object
) -> None:
    document = as_document(catalog)
    path = data.draw(st.sampled_from(list(paths(document))))
    holder_of(document, path)[path[-1]] = value

    assert_valid_or_told(file, as_yaml(document).lstrip("\n").encode("utf-8", errors="replace"))


@given(catalog=catalogs(max_services=2), data=st.data())
@quietly
def test_catalog_with_another_key_is_told(file: Path, catalog: Catalog, data: st.DataObject) -> None:
    document = as_document(catalog)
    service = data.draw(st.sampled_from(list(document["services"])))
    key = data.draw(st.text(string.ascii_lowercase, min_size=1, max_size=12))
    if key in document["services"][service]:
        return
    document["services"][service][key] = None
    text = as_yaml(document).lstrip("\n")
    file.write_text(text, encoding="utf-8")

    checked = check_catalog(file)

    assert any(fault.key == f"services.{service}.{key}" for fault in checked.faults)
    assert_places_are_inside(checked.faults, text)


@given(catalog=catalogs(max_services=2), data=st.data())
@quietly
def test_line_that_is_there_twice_is_told(file: Path, catalog: Catalog, data: st.DataObject) -> None:
    lines = text_of(catalog).splitlines(keepends=True)
    index = data.draw(st.sampled_from([index for index, line in enumerate(lines) if '":' in line and "- " not in line]))
    lines.insert(index + 1, lines[index])
    text = "".join(lines)
    file.write_text(text, encoding="utf-8")

    checked = check_catalog(file)

    assert checked.catalog is None
    assert_places_are_inside(checked.faults, text)


@given(data=st.data())
@quietly
def test_flipped_bytes_are_valid_or_told(file: Path, data: st.DataObject) -> None:
    content = bytearray(WHOLE.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))

    assert_valid_or_told(file, bytes(content))


@given(
    data=st.data(),
    piece=st.text(max_size=12) | st.sampled_from(["\t", "\r", "{", "]", "&a ", "*a", "!!x ", "---\n", "? ", "- "]),
)
@quietly
def test_text_with_another_piece_is_valid_or_told(file: Path, data: st.DataObject, piece: str) -> None:
    start = data.draw(st.integers(0, len(WHOLE)))
    end = data.draw(st.integers(start, min(start + 30, len(WHOLE))))

    assert_valid_or_told(file, (WHOLE[:start] + piece + WHOLE[end:]).encode("utf-8", errors="surrogatepass"))


@given(content=st.binary(max_size=200))
@quietly
def test_any_bytes_are_refused(file: Path, content: bytes) -> None:
    assert_valid_or_told(file, content)


@given(text=st.text(st.sampled_from("ab:-?[]{},&*!|>'\"%@#`\n \t~0."), max_size=60))
@example("---")
@settings(max_examples=500, deadline=None)
def test_any_yaml_is_told_inside_the_text(text: str) -> None:
    if not text.strip():
        return
    checked = check_source(Source(Path("FILE"), text))

    assert checked.catalog is None
    assert_places_are_inside(checked.faults, text)


@given(data=st.data())
@quietly
def test_flipped_environment_is_valid_or_told(tmp_path: Path, data: st.DataObject) -> None:
    file = tmp_path / "prod.yaml"
    content = bytearray(PROD.encode())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes(content))

    checked = check_environment(file)

    assert checked.environment is not None or checked.faults
    assert_places_are_inside(checked.faults, content.decode("utf-8", errors="replace"))


@given(value=PRINTABLE)
@settings(deadline=None)
def test_composed_json_is_the_json_itself(value: Any) -> None:
    source = Source(Path("FILE"), as_yaml({"a": value}))

    assert repr(plain(composed(source)[0])) == repr({"a": value})


@given(
    catalog=catalogs(), reason=st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=200)
)
@quietly
def test_edits_keep_every_other_line(file: Path, catalog: Catalog, reason: str) -> None:
    text = text_of(catalog)
    file.write_text(text, encoding="utf-8")
    group = next(iter(catalog.groups))

    added = add_service(file, "added99-nats", group=group, tag="1.4.2")
    assert added.service.group == group
    disable_service(file, "added99-nats", reason=reason)
    assert load_catalog(file).services["added99-nats"].reason == reason
    enable_service(file, "added99-nats")

    lines = file.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line in text.splitlines()] == text.splitlines()
    assert {
        name: entry for name, entry in load_catalog(file).services.items() if name != "added99-nats"
    } == catalog.services
    assert list(file.parent.iterdir()) == [file]
