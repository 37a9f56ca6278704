"""Memory of an idle service, and how long it takes to be one: each service of the catalog as a process of its own, on a real server.

The reader of certificates from S3 is loaded as in a task, though the certificates come from a folder here.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from catalog import load_catalog
from tests.nats_machines import ROOT, issued
from tests.ports import free_ports
from tests.reference_fleet import GATEWAY, Fleet, fleet

_AS_IN_A_TASK = "import runpy, sdk.s3_certificates; runpy.run_module('reference_service', run_name='__main__')"
_DEADLINE_SECONDS = 60
_SETTLED_SECONDS = 3


def main() -> None:
    """Measure and print."""
    asyncio.run(_measure())


async def _measure() -> None:
    catalog = load_catalog(ROOT / "service_catalog.yaml")
    with tempfile.TemporaryDirectory() as folder:
        bucket = issued(Path(folder))
        nodes = Path(folder) / "nodes"
        nodes.mkdir()
        async with fleet(nodes, bucket, catalog) as made:
            found = [await _one(made, each.name) for each in catalog.enabled if each.name != GATEWAY]
    sizes, seconds = [size for size, _ in found], [taken for _, taken in found]
    print(
        f"{len(found)} services, idle: {min(sizes):.1f} to {max(sizes):.1f} MiB, median {statistics.median(sizes):.1f}"
    )
    print(f"from start to healthy: {min(seconds):.2f} to {max(seconds):.2f} s, median {statistics.median(seconds):.2f}")


async def _one(made: Fleet, name: str) -> tuple[float, float]:
    """Return a service's resident memory in MiB, and the seconds until it was healthy."""
    (port,) = free_ports(1)
    variables = {**os.environ, **made.variables(name), "HEALTH_PORT": str(port), "PYTHONPATH": str(ROOT)}
    started = time.monotonic()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _AS_IN_A_TASK, env=variables, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while not await asyncio.to_thread(_is_healthy, port):  # noqa: ASYNC110  # a process gives no other sign
                await asyncio.sleep(0.02)
        taken = time.monotonic() - started
        await asyncio.sleep(_SETTLED_SECONDS)
        return psutil.Process(child.pid).memory_info().rss / 2**20, taken
    finally:
        child.terminate()
        await child.wait()


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
