"""The commands of README.md, and the record of which of them CI has run.

Whoever follows the README at night must not find that a command has gone. So a test that runs one says so, and a whole run of the
tests (`make test`, as `.ci/run` calls it) writes down which did: .local/ci/readme.json, for the commit that it was run on. CI keeps it
as an artefact; put it to the same place of another checkout of that commit, and `fleet verify` counts it there.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from fleet import project

RECORD = project.STATE / "ci" / "readme.json"
_BLOCK = re.compile(r"^```(?:bash|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_COMMENT = re.compile(r"\s+#.*")
_PROGRAMS = ("make", "fleet", "cdk")
_GIT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Checkout:
    """The state of a checkout."""

    commit: str
    is_clean: bool
    """Whether its files are the commit's."""


@dataclass(frozen=True, slots=True)
class Record:
    """Which commands ran to a good end."""

    commit: str
    is_clean: bool
    readme_sha256: str
    ran: Mapping[str, str]
    """The test that ran it, by the command."""

    def write(self, path: Path | None = None) -> None:
        """Keep it; what is there of the same commit stays where this one has nothing to say."""
        path = path or RECORD
        before = read_record(path)
        same = before is not None and (before.commit, before.readme_sha256) == (self.commit, self.readme_sha256)
        kept = before.ran if same and before else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**asdict(self), "ran": {**kept, **self.ran}}, indent=2) + "\n", encoding="utf-8")


def commands(text: str) -> list[str]:
    """Return the commands of a page: every line of its shell blocks, and each that stands in a sentence; without comments."""
    lines = [line for block in _BLOCK.findall(text) for line in block.splitlines()]
    inline = _INLINE.findall(_BLOCK.sub("", text))
    found = [_COMMENT.sub("", line).strip().replace(".venv/bin/", "") for line in (*lines, *inline)]
    return list(dict.fromkeys(one for one in found if one.partition(" ")[0] in _PROGRAMS and " " in one))


def digest(text: str) -> str:
    """Return what tells one text of the page from another."""
    return hashlib.sha256(text.encode()).hexdigest()


def checkout(root: Path = project.ROOT) -> Checkout | None:
    """Return the state of a checkout; nothing where it is none."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return Checkout(commit, not changed)


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]  # Git is found where the user has it
    done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    return done.stdout.strip()


def read_record(path: Path | None = None) -> Record | None:
    """Return the record; nothing where there is none that can be read."""
    try:
        return Record(**json.loads((path or RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def why_not(record: Record | None, state: Checkout | None, text: str) -> str:
    """Return why a record proves nothing of a checkout; nothing where it does."""
    if record is None:
        return "no record of a run of the tests"
    if state is None:
        return "this is no checkout of git, so no record belongs to it"
    if record.commit != state.commit:
        return f"ran for commit {record.commit[:9]}, and this is {state.commit[:9]}"
    if not (record.is_clean and state.is_clean) or record.readme_sha256 != digest(text):
        return f"files of commit {state.commit[:9]} were changed"
    return ""
