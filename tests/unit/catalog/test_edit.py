"""Edits: the wanted lines change and no other byte does; what would not be valid is not written."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog import CatalogError, load_catalog
from catalog.edit import Edited, add_service, disable_service, enable_service

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "cases"
TEXT = """\
# The fleet.
groups:
  game: {description: The game.}   # odd   spacing stays
  world:
    description: 'The world.'

defaults:
    owner: platform   # indented by four
    image: {tag: "1"}

services:
  # --- game ---
  quest-nats:   # the first
    group: game
    stack: 1
    description: "Hands out quests."
    command:
    - quests
      # a comment of the entry's own

  # --- world ---
  weather-nats:
    group: world
    description: Rains.
    # what is deployed is tuned by hand
    cpu: 512
    memory: 1024

# The end.
"""


@pytest.fixture(name="file")
def catalog_file(tmp_path: Path) -> Path:
    file = tmp_path / "catalog.yaml"
    file.write_bytes(TEXT.encode())
    return file


def changes(before: str, file: Path) -> list[str]:
    after = file.read_bytes().decode()
    compared = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line for line in compared if line[0] in "+-"]


def add(file: Path, name: str = "loot-nats", group: str = "game") -> Edited:
    return add_service(file, name, group=group, description="Drops loot.")


def test_added_entry_stands_below_its_group(file: Path) -> None:
    edited = add(file)

    assert changes(TEXT, file) == [
        "+   loot-nats:\n",
        "+     group: game\n",
        "+     stack: 1\n",
        "+     description: Drops loot.\n",
        "+ \n",
    ]
    assert list(load_catalog(file).services) == ["quest-nats", "loot-nats", "weather-nats"]
    assert (edited.service.name, edited.changed) == ("loot-nats", True)
    assert "entry's own\n\n  loot-nats:" in file.read_text(encoding="utf-8")


def test_added_entry_of_the_last_group_stands_before_what_follows(file: Path) -> None:
    add(file, group="world")

    assert file.read_text(encoding="utf-8").endswith(
        "    memory: 1024\n\n  loot-nats:\n    group: world\n    stack: 1\n    description: Drops loot.\n\n# The end.\n"
    )


def test_added_entry_takes_what_it_is_given(file: Path) -> None:
    add_service(file, "loot-nats", group="game", description="Loot: yes", owner="on", tag="1.0")

    assert changes(TEXT, file)[3:-1] == [
        '+     description: "Loot: yes"\n',
        '+     owner: "on"\n',
        "+     image:\n",
        '+       tag: "1.0"\n',
    ]


def test_owner_is_the_groups_where_the_defaults_give_none(file: Path) -> None:
    text = TEXT.replace("    owner: platform   # indented by four\n", "").replace(
        "    group: ", "    owner: us\n    group: "
    )
    file.write_text(text, encoding="utf-8")

    assert add(file).service.owner == "us"


def test_group_without_a_service_comes_last(file: Path) -> None:
    file.write_text(TEXT.replace("  world:", "  empty: {description: Nobody.}\n  world:"), encoding="utf-8")

    add(file, group="empty")

    assert list(load_catalog(file).services)[-1] == "loot-nats"


def test_first_entry_of_all(file: Path) -> None:
    text = TEXT[: TEXT.index("services:")] + "services: {} # none yet\n"
    file.write_text(text, encoding="utf-8")

    add(file)

    assert "services:\n  loot-nats:\n    group: game\n" in file.read_text(encoding="utf-8").replace(" \n", "\n")
    assert list(load_catalog(file).services) == ["loot-nats"]


def test_second_stack_when_the_first_is_full(file: Path) -> None:
    many = "".join(f"  s{number:02}-nats: {{group: game, description: d}}\n" for number in range(39))
    file.write_text(TEXT.replace("  # --- world", f"{many}  # --- world"), encoding="utf-8")

    assert add(file).service.stack == 2
    assert add(file, "more-nats").service.stack == 2
    assert add(file, "rain-nats", "world").service.stack == 1


def test_entries_without_blank_lines_stay_so(file: Path) -> None:
    text = TEXT.replace("\n  # --- world ---\n", "")
    file.write_text(text, encoding="utf-8")

    add(file)

    assert "+ \n" not in changes(text, file)


def test_indentation_of_the_file_is_taken(file: Path) -> None:
    wide = TEXT.replace("\n  ", "\n    ").replace("\n      ", "\n         ")
    file.write_text(wide, encoding="utf-8")

    add(file)

    assert changes(wide, file)[:2] == ["+     loot-nats:\n", "+          group: game\n"]


def test_disabled_service_says_why(file: Path) -> None:
    edited = disable_service(file, "quest-nats", reason="waits for #12: new quests")

    assert changes(TEXT, file) == ["+     enabled: false\n", '+     reason: "waits for #12: new quests"\n']
    assert "stack: 1\n    enabled: false\n" in file.read_text(encoding="utf-8")
    assert not edited.service.enabled


def test_entry_without_a_stack_is_disabled_below_its_group(file: Path) -> None:
    disable_service(file, "weather-nats", reason="too wet")

    assert "group: world\n    enabled: false\n    reason: too wet\n" in file.read_text(encoding="utf-8")


def test_enabling_undoes_disabling(file: Path) -> None:
    disable_service(file, "quest-nats", reason="later")

    assert enable_service(file, "quest-nats").changed
    assert file.read_text(encoding="utf-8") == TEXT


def test_value_that_is_there_is_replaced(file: Path) -> None:
    text = TEXT.replace("    stack: 1\n", "    enabled: true # for now\n    reason: 'was off'\n    stack: 1\n")
    file.write_text(text, encoding="utf-8")

    disable_service(file, "quest-nats", reason="off again")

    assert changes(text, file) == [
        "-     enabled: true # for now\n",
        "+     enabled: false # for now\n",
        "-     reason: 'was off'\n",
        "+     reason: off again\n",
    ]


def test_reason_over_several_lines_goes_with_its_key(file: Path) -> None:
    text = TEXT.replace("    stack: 1\n", "    enabled: false\n    reason: >-\n      it\n\n      waits\n    stack: 1\n")
    file.write_text(text, encoding="utf-8")

    enable_service(file, "quest-nats")

    assert file.read_text(encoding="utf-8") == TEXT


def test_reason_over_several_lines_is_replaced(file: Path) -> None:
    text = TEXT.replace("    stack: 1\n", "    enabled: false\n    reason: |\n      it\n      waits\n\n    stack: 1\n")
    file.write_text(text, encoding="utf-8")

    assert disable_service(file, "quest-nats", reason="no more").service.reason == "no more"


@pytest.mark.parametrize(
    ("entry", "disabled"),
    [
        ("{group: game, description: d}", "{enabled: false, reason: later, group: game, description: d}"),
        ("{ group: game, description: d }", "{enabled: false, reason: later,  group: game, description: d }"),
    ],
)
def test_entry_in_braces(file: Path, entry: str, disabled: str) -> None:
    text = f"{TEXT[: TEXT.index('services:')]}services:\n  quest-nats: {entry} # one line\n"
    file.write_text(text, encoding="utf-8")

    disable_service(file, "quest-nats", reason="later")
    assert file.read_text(encoding="utf-8") == text.replace(entry, disabled)

    assert enable_service(file, "quest-nats").service.enabled
    assert file.read_text(encoding="utf-8") == text.replace(entry, entry.replace("{ ", "{"))


@pytest.mark.parametrize(
    "entry",
    [
        "{group: game, description: d, enabled: false, reason: x}",
        "{group: game, enabled: false, description: d, reason: x }",
    ],
)
def test_entry_in_braces_is_enabled_wherever_its_keys_stand(file: Path, entry: str) -> None:
    file.write_text(f"{TEXT[: TEXT.index('services:')]}services:\n  quest-nats: {entry}\n", encoding="utf-8")

    assert enable_service(file, "quest-nats").service.enabled


def test_nothing_to_do_writes_nothing(file: Path) -> None:
    disable_service(file, "quest-nats", reason="later")
    before = file.stat()

    assert not disable_service(file, "quest-nats", reason="later").changed
    assert not enable_service(file, "weather-nats").changed
    assert file.stat().st_ino == before.st_ino


EDITS: list[Callable[[Path], Edited]] = [
    add,
    lambda file: add(file, group="world"),
    lambda file: disable_service(file, "weather-nats", reason="too wet"),
    lambda file: disable_service(file, "quest-nats", reason="later"),
]


@pytest.mark.parametrize("edit", EDITS)
def test_windows_line_ends_stay(file: Path, edit: Callable[[Path], Edited]) -> None:
    text = TEXT.replace("\n", "\r\n")
    file.write_bytes(text.encode())

    edit(file)

    after = file.read_bytes().decode()
    assert after.count("\n") == after.count("\r\n")
    assert not [line for line in changes(text, file) if line.startswith("-")]


@pytest.mark.parametrize("edit", EDITS)
def test_missing_final_line_end_stays_missing(file: Path, edit: Callable[[Path], Edited]) -> None:
    text = TEXT.removesuffix("\n\n# The end.\n")
    file.write_bytes(text.encode())

    edit(file)

    after = file.read_bytes().decode()
    assert not after.endswith("\n")
    assert not [line for line in difflib.ndiff(text.splitlines(), after.splitlines()) if line.startswith("-")]


def test_enabling_the_last_lines_of_a_file_without_a_final_line_end(file: Path) -> None:
    text = TEXT.removesuffix("\n\n# The end.\n")
    file.write_bytes(f"{text}\n    enabled: false\n    reason: later".encode())

    enable_service(file, "weather-nats")

    assert file.read_bytes().decode() == text


def test_byte_order_mark_stays(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())

    add(file)

    assert file.read_bytes().startswith(b"\xef\xbb\xbf# The fleet.\n")


def test_mode_and_link_stay(file: Path) -> None:
    file.chmod(0o640)
    link = file.with_name("link.yaml")
    link.symlink_to(file)

    add(link)

    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert "loot-nats" in load_catalog(file).services


REFUSED: list[tuple[Callable[[Path], Edited], str]] = [
    (lambda file: add(file, "quest-nats"), r"13:3: services\.quest-nats: there is a service 'quest-nats' already"),
    (lambda file: add(file, group="gmae"), r"2:1: groups: there is no group 'gmae'; .*did you mean 'game'\?"),
    (lambda file: add(file, "Loot"), r"'Loot' is not allowed; allowed: lower-case words"),
    (lambda file: add(file, "quest"), r"is the beginning of the alarm names of 'quest-nats'"),
    (lambda file: add(file, "loot:\n  x"), r"'loot:\\n  x' is not allowed"),
    (lambda file: add_service(file, "loot-nats", group="game", description="x" * 201), r"at most 200"),
    (lambda file: enable_service(file, "wether-nats"), r"no service 'wether-nats'; did you mean 'weather-nats'\?"),
    (lambda file: disable_service(file, "weather-nats", reason=""), r"reason: is empty"),
    (lambda file: disable_service(file, "weather-nats", reason="a\0b"), r"control character"),
]


@pytest.mark.parametrize(("edit", "message"), REFUSED)
def test_refused_edit_leaves_the_file_untouched(file: Path, edit: Callable[[Path], Edited], message: str) -> None:
    with pytest.raises(CatalogError, match=message):
        edit(file)

    assert file.read_text(encoding="utf-8") == TEXT
    assert list(file.parent.iterdir()) == [file]


def test_catalog_that_is_not_valid_is_not_edited(file: Path) -> None:
    text = TEXT.replace("cpu: 512", "cpu: 300")
    file.write_text(text, encoding="utf-8")

    with pytest.raises(CatalogError, match="300 is not allowed"):
        add(file)

    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "services",
    [
        "{quest-nats: {group: game, description: d}}",
        "\n  quest-nats: &one {group: game, description: d}\n  weather-nats: *one",
    ],
    ids=["all in braces", "one entry for two"],
)
def test_what_cannot_be_edited_alone_is_left_to_its_owner(file: Path, services: str) -> None:
    text = f"{TEXT[: TEXT.index('services:')]}services: {services}\n"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(CatalogError, match="by hand"):
        add(file) if "weather" not in services else disable_service(file, "weather-nats", reason="later")

    assert file.read_text(encoding="utf-8") == text


def test_service_that_the_defaults_disable_is_not_enabled_by_halves(file: Path) -> None:
    text = TEXT.replace("    owner:", "    enabled: false\n    reason: all off\n    owner:")
    file.write_text(text, encoding="utf-8")

    with pytest.raises(CatalogError, match="by hand"):
        enable_service(file, "quest-nats")

    assert file.read_text(encoding="utf-8") == text


def test_file_that_changes_meanwhile_is_not_overwritten(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = f"{TEXT}# by somebody else\n"

    def write_first(_: int) -> None:
        file.write_text(other, encoding="utf-8")

    monkeypatch.setattr("os.fsync", write_first)

    with pytest.raises(CatalogError, match="has changed while it was being edited"):
        add(file)

    assert file.read_text(encoding="utf-8") == other
    assert list(file.parent.iterdir()) == [file]


def test_file_that_cannot_be_written_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)

    with pytest.raises(CatalogError, match="cannot be written: Permission denied; nothing was changed"):
        add(file)


def test_whole_catalog_takes_a_service_and_gives_it_back(tmp_path: Path) -> None:
    text = (ROOT / "service_catalog.yaml").read_text(encoding="utf-8")
    file = tmp_path / "service_catalog.yaml"
    file.write_text(text, encoding="utf-8")

    for group in load_catalog(file).groups:
        add(file, f"{group}-added-nats", group)
    assert not [line for line in changes(text, file) if line.startswith("-")]

    file.write_text(text, encoding="utf-8")
    assert enable_service(file, "language-system-nats").service.enabled
    disable_service(file, "language-system-nats", reason="complex proto imports")
    assert file.read_text(encoding="utf-8") == text
