"""Check the import rules of `.importlinter` for those packages that are there.

import-linter refuses a contract that names a package it cannot find; a rule is written down once for the whole design,
and counts from the day its packages exist.
"""

from __future__ import annotations

import configparser
import re
import sys
import tempfile
from pathlib import Path

from importlinter import cli

ROOT = Path(__file__).resolve().parent.parent
SOURCE_ROOTS = (ROOT, ROOT / "constructs")
MODULE_LISTS = ("source_modules", "forbidden_modules", "modules", "layers")


def exists(package: str) -> bool:
    """Tell whether a package of ours is there."""
    return any((root / package / "__init__.py").is_file() for root in SOURCE_ROOTS)


def present_rules(rules: configparser.ConfigParser) -> configparser.ConfigParser:
    """Leave out what names packages that are not there, and contracts with nothing left to say."""
    ours = rules["importlinter"]["root_packages"].split()
    missing = {package for package in ours if not exists(package)}
    rules["importlinter"]["root_packages"] = "\n" + "\n".join(package for package in ours if package not in missing)
    for section in rules.sections():
        for key in MODULE_LISTS:
            if key in rules[section]:
                kept = [_without(line, missing) for line in rules[section][key].split("\n")]
                rules[section][key] = "\n".join(["", *filter(None, kept)])
                if not any(kept):
                    rules.remove_section(section)
                    break
    return rules


def _without(line: str, missing: set[str]) -> str:
    """Take missing packages out of a line, which may be a layer of several: `a | b`."""
    return " | ".join(name for name in re.split(r"\s*\|\s*", line.strip()) if name and name not in missing)


def main() -> int:
    """Run import-linter on the rules that apply."""
    sys.path[:0] = [str(root) for root in SOURCE_ROOTS]
    rules = configparser.ConfigParser()
    rules.read(ROOT / ".importlinter", encoding="utf-8")
    with tempfile.NamedTemporaryFile("w", suffix=".importlinter", encoding="utf-8") as file:
        present_rules(rules).write(file)
        file.flush()
        return cli.lint_imports(config_filename=file.name, cache_dir=str(ROOT / ".import_linter_cache"))


if __name__ == "__main__":
    sys.exit(main())
