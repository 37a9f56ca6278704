"""Run every static check at once, tell each result in a line, and print in full what a failed one said."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEADLINE_SECONDS = 600
CHECKS = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types": ["mypy", "."],
    "imports": ["python", "tools/import_rules.py"],
    "catalog schema": ["python", "-m", "catalog.schema", "--check"],
    "messages": ["python", "-m", "proto.generate", "--check"],
}


async def run(name: str, command: list[str]) -> bool:
    """Run one check and tell whether it passed."""
    started = time.monotonic()
    child = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(child.communicate(), DEADLINE_SECONDS)
    except TimeoutError:
        child.kill()
        output, _ = await child.communicate()
        output += f"\nended after {DEADLINE_SECONDS} s".encode()
    passed = child.returncode == 0
    lines = [f"{'ok  ' if passed else 'FAIL'}  {name:<16} {time.monotonic() - started:5.1f} s"]
    if not passed:
        lines += [f"      {' '.join(command)}", output.decode(errors="replace").rstrip()]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    return passed


async def main() -> int:
    """Run all of them side by side; the types take longest by far."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    passed = await asyncio.gather(*(run(name, command) for name, command in CHECKS.items()))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
