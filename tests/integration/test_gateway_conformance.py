"""What the gateway does is what its OpenAPI document says: schemathesis asks every operation, with what fits and with what does not."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from tests.gateway_world import CATALOG, GATEWAY, gateway, world

pytestmark = pytest.mark.integration

KEY = "a-key-for-everything"
# What a service refuses of what fits the schema is its own matter: the schema does not know how long an identifier may be.
NOT_CHECKED = "positive_data_acceptance"


async def test_every_operation_keeps_its_word(tmp_path: Path, fleet_bucket: Path) -> None:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    keys = json.dumps([{"id": "all", "sha256": digest, "roles": ["player", "operator", "admin"]}])
    with world(tmp_path, fleet_bucket) as nats:
        nats.is_strict = True
        services = [service.name for service in CATALOG.enabled if service.name != GATEWAY]
        async with nats.serving(*services), gateway(nats, tmp_path / "log", GATEWAY_API_KEYS=keys) as made:
            child = await asyncio.create_subprocess_exec(
                "st", "run", f"{made.url}/openapi.json", "--header", f"X-Api-Key: {KEY}", "--no-color", "--no-shrink",
                "--generation-deterministic", "--max-examples", "2", "--phases", "coverage,fuzzing",
                "--exclude-checks", NOT_CHECKED, "--exclude-path", "/v1/events/stream",
                cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            told = (await child.communicate())[0].decode()
            assert child.returncode == 0, told
            assert "Tested: 51" in told
            assert "Traceback" not in made.log(), made.log()
