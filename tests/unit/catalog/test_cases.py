"""The sample catalogs and environments: good ones load, bad ones are told exactly as the file beside them says."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import CatalogError, check_catalog, load_catalog
from catalog.load import check_environment

CASES = Path(__file__).parents[2] / "cases"
GOOD = sorted((CASES / "good").glob("*.yaml"))
BAD = sorted((CASES / "bad").rglob("*.yaml"))
BAD_ENVIRONMENTS = sorted((CASES / "bad_environments").glob("*.yaml"))


def name_of(file: Path) -> str:
    return file.stem


def expected(file: Path) -> str:
    return file.with_suffix(".expected.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", GOOD, ids=name_of)
def test_good_catalog_loads_without_a_word(file: Path) -> None:
    checked = check_catalog(file)

    assert checked.faults == ()
    assert checked.catalog == load_catalog(file)


@pytest.mark.parametrize("file", BAD, ids=name_of)
def test_bad_catalog_is_told_at_its_place(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)

    with pytest.raises(CatalogError) as refused:
        load_catalog(Path(file.name))

    assert f"{refused.value}\n" == expected(file)


@pytest.mark.parametrize("file", BAD_ENVIRONMENTS, ids=name_of)
def test_bad_environment_is_told_at_its_place(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)

    checked = check_environment(Path(file.name))

    assert checked.environment is None
    assert "".join(f"{fault}\n" for fault in checked.faults) == expected(file)


def test_every_expectation_belongs_to_a_case() -> None:
    expectations = {file.name.removesuffix(".expected.txt") for file in CASES.rglob("*.expected.txt")}

    assert expectations == {file.stem for file in [*BAD, *BAD_ENVIRONMENTS]}


@pytest.mark.parametrize("file", [*BAD, *BAD_ENVIRONMENTS], ids=name_of)
def test_places_are_inside_the_file(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    checked = check_environment(file) if file in BAD_ENVIRONMENTS else check_catalog(file)

    for fault in checked.faults:
        assert fault.line is not None
        assert fault.column is not None
        assert 1 <= fault.column <= len(lines[fault.line - 1]) + 1


@pytest.mark.parametrize("file", [file for file in BAD if "secret" in file.stem], ids=name_of)
def test_no_secret_is_repeated(file: Path) -> None:
    written = file.read_text(encoding="utf-8")

    for secret in (
        "hunter2",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI",
        "eyJhbGciOiJIUzI1NiJ9",
        "1234567890abcdef",
        "quests key",
    ):
        if secret in written:
            assert secret not in expected(file)
