"""The script that delivers certificates, as far as no server is needed; tests/integration runs it for real."""

from __future__ import annotations

import ast
import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nats_platform.node import deliver_certificates as script

SOURCE = Path(str(script.__file__)).read_text(encoding="utf-8")
NODES_PYTHON = (3, 9)  # Amazon Linux 2023's own


def plain(**changes: Any) -> dict[str, Any]:
    """Return a release as the function sends it."""
    keys = {
        "server-chain.pem": "server/nats-1/20260729T100000Z-0123456789ab/chain.pem",
        "server-key.pem": "server/nats-1/20260729T100000Z-0123456789ab/key.pem",
        "route-chain.pem": "route/nats-1/20260729T100000Z-0123456789ab/chain.pem",
        "route-key.pem": "route/nats-1/20260729T100000Z-0123456789ab/key.pem",
        **{
            f"{who}-ca.pem": f"ca/certificates/20260729T100000Z-ba9876543210/{who}-ca.pem"
            for who in ("server", "client", "route")
        },
    }
    files = {name: {"key": key, "version_id": "v", "sha256": "0" * 64} for name, key in (keys | changes).items()}
    return {"node": "nats-1", "files": files}


def read(content: object) -> script.Release:
    return script.Release.read(base64.b64encode(json.dumps(content).encode()).decode())


def test_the_nodes_python_understands_the_script() -> None:
    ast.parse(SOURCE, feature_version=NODES_PYTHON)


def test_the_script_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(SOURCE)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_a_release_is_named_by_what_is_in_it() -> None:
    other = plain()
    other["files"]["route-ca.pem"]["sha256"] = "1" * 64
    moved = plain()
    moved["files"]["route-ca.pem"]["version_id"] = "w"

    assert read(plain()).name == read(moved).name
    assert read(plain()).name != read(other).name


@pytest.mark.parametrize(
    "key",
    [
        "server/nats-2/20260729T100000Z-0123456789ab/key.pem",
        "server/nats-1/20260729T100000Z-0123456789ab/chain.pem",
        "server/nats-1/../nats-2/key.pem",
        "server/nats-1/v/key.pem\n",
        "ca/private/root.pem",
        "client/orders/v/key.pem",
        "",
    ],
)
def test_nothing_is_fetched_but_the_nodes_own_files(key: str) -> None:
    with pytest.raises(script.RefusedError, match=r"is no place for the server-key\.pem of nats-1"):
        read(plain(**{"server-key.pem": key}))


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"node": "nats-1", "files": []},
        {"node": "nats-1", "files": {"a": "b"}},
        {"node": "nats-1", "files": {}},
        plain(**{"another.pem": "ca/certificates/v/another.pem"}),
        {**plain(), "node": "../nats-1"},
        {**plain(), "node": ".*"},
    ],
)
def test_what_is_no_release_is_refused_with_a_reason(content: object) -> None:
    with pytest.raises(script.RefusedError, match="DELIVERY"):
        read(content)


@pytest.mark.parametrize("text", ["", "%", "bm90IGpzb24="])
def test_what_is_no_base64_of_json_is_refused(text: str) -> None:
    with pytest.raises(script.RefusedError, match="DELIVERY holds no release"):
        script.Release.read(text)


def test_without_its_environment_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.umask", lambda _: 0o022)  # this process is not the script's own
    monkeypatch.delenv("BUCKET", raising=False)

    assert script.main() == 1
    assert capsys.readouterr().err == "FAILED: KeyError: 'BUCKET'\n"
