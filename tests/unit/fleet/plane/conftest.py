"""What the tests of processes share: none outlives its test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fleet.local.plane import processes as processes_module
from fleet.local.plane.processes import Processes, end_marked

DEADLINE_SECONDS = 60


@pytest.fixture
async def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Processes]:
    monkeypatch.setattr(processes_module, "_LOOK_SECONDS", 0.02)
    made = Processes(tmp_path)
    yield made
    await made.end_all(0)
    end_marked(tmp_path)


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds, for as long as a slow machine may take."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not holds():  # noqa: ASYNC110 - what is waited for is another process's
            await asyncio.sleep(0.01)
