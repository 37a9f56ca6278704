"""Tiny programs, as what a plane runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from fleet.local.plane.processes import Spec

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
PARENT = (
    "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print(child.pid, flush=True); time.sleep(600)"
)
GREEDY = "import time; print('up', flush=True); held = bytearray(200 * 1024 * 1024); time.sleep(600)"


def spec(folder: Path, program: str, *, name: str = "one", memory_mib: int | None = None, **env: str) -> Spec:
    argv: Sequence[str] = (sys.executable, "-S", "-c", program)
    return Spec(name=name, argv=argv, env=env, cwd=folder, log=folder / "logs" / f"{name}.log", memory_mib=memory_mib)
