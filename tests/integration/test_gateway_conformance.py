"""What the gateway does is what its OpenAPI document says: schemathesis asks every operation, with what fits and with what does not."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway_world import CATALOG, GATEWAY, gateway, world

pytestmark = pytest.mark.integration

KEY = "a-key-for-everything"
# What a service refuses of what fits the schema is its own matter: the schema does not know how long an identifier may be.
NOT_CHECKED = "positive_data_acceptance"


def asked_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document as it is tried.

    A token is no way to show who one is: else one is made up beside the key, and nearly everything refused for that alone. A null is the
    same as nothing, as protobuf's JSON mapping has it; to say so of each field would help nobody who reads it.
    """
    del document["components"]["securitySchemes"]["bearer"]
    objects = list(document["components"]["schemas"].values())
    for operation in (each for path in document["paths"].values() for each in path.values()):
        operation["security"] = [way for way in operation["security"] if "bearer" not in way]
        if "requestBody" in operation:
            objects.append(operation["requestBody"]["content"]["application/json"]["schema"])
    for schema in objects:
        for name, value in schema.get("properties", {}).items():
            if name not in schema.get("required", ()):
                schema["properties"][name] = {"anyOf": [value, {"type": "null"}]}
    return document


async def test_every_operation_keeps_its_word(tmp_path: Path, fleet_bucket: Path) -> None:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    keys = json.dumps([{"id": "all", "sha256": digest, "roles": ["player", "operator", "admin"]}])
    with world(tmp_path, fleet_bucket) as nats:
        nats.is_strict = True
        services = [service.name for service in CATALOG.enabled if service.name != GATEWAY]
        async with nats.serving(*services), gateway(nats, tmp_path / "log", GATEWAY_API_KEYS=keys) as made:
            async with httpx.AsyncClient() as http:
                document = (await http.get(f"{made.url}/openapi.json")).json()
            (tmp_path / "openapi.json").write_text(json.dumps(asked_of(document)))
            (tmp_path / "schemathesis.toml").write_text('[phases.coverage]\nunexpected-methods = ["PATCH"]\n')
            child = await asyncio.create_subprocess_exec(
                "st", "run", "openapi.json", "--url", made.url, "--header", f"X-Api-Key: {KEY}", "--no-color", "--no-shrink",
                "--generation-deterministic", "--max-examples", "1", "--phases", "coverage,fuzzing",
                "--exclude-checks", NOT_CHECKED, "--exclude-path", "/v1/events/stream",
                cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            told = (await child.communicate())[0].decode()
            assert child.returncode == 0, told
            assert "Tested: 51" in told
            assert "Traceback" not in made.log(), made.log()
