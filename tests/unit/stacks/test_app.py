"""The app as it is called: by hand, by make, by the CDK CLI."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import app
from catalog import load_environment
from stacks import budget
from tests.synthesis import EVERY_FEATURE, ROOT, small_fleet, whole_fleet

SMALL = f"catalog={EVERY_FEATURE.relative_to(ROOT)}"


def run(outdir: Path, *context: str, root: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the app as a process of its own that has no AWS credentials and finds none."""
    nowhere = str(outdir / "nowhere")
    arguments = [argument for pair in context for argument in ("-c", pair)]
    return subprocess.run(
        [sys.executable, str(root / "app.py"), *arguments],
        env={
            **os.environ,
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_OUTDIR": str(outdir),
            "CDK_VALIDATION": "false",
            **environment,
        },
        cwd=outdir.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def templates(folder: Path) -> dict[str, Any]:
    return {file.name: json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.template.json")}


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def copied_to(folder: Path) -> None:
    """Copy what a synthesis reads; what the set-up has fetched is linked, but for what a synthesis makes of it."""
    for name in ("catalog", "constructs", "environments", "functions", "nats_platform", "stacks", "tls"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "cdk.json", "service_catalog.yaml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / ".build").mkdir()
    for name in ("functions", "nats-server"):
        (folder / ".build" / name).symlink_to(ROOT / ".build" / name)


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The app in this process, which writes to a folder of its own."""
    monkeypatch.setenv("CDK_OUTDIR", str(tmp_path / "out"))
    monkeypatch.setenv("CDK_VALIDATION", "false")
    yield tmp_path / "out"
    gc.enable()  # the app lives too short to need it, this process does not


def called(monkeypatch: pytest.MonkeyPatch, *context: str) -> int:
    monkeypatch.setattr(sys, "argv", ["app.py", *(argument for pair in context for argument in ("-c", pair))])
    return app.main()


def test_it_writes_the_same_bytes_in_every_process_and_from_every_folder(tmp_path: Path) -> None:
    first, second, copy = tmp_path / "first", tmp_path / "second", tmp_path / "a copy"
    copied_to(copy)
    assert run(first, "env=prod", PYTHONHASHSEED="1").returncode == 0
    done = run(second, "env=prod", root=copy, PYTHONHASHSEED="2", TZ="Asia/Tokyo")
    assert done.returncode == 0, done.stderr
    assert files(first)
    assert files(first) == files(second)


def test_it_needs_no_network(tmp_path: Path) -> None:
    alone = ["unshare", "--map-root-user", "--net"]
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine gives nobody a network of their own")
    done = subprocess.run(
        [*alone, sys.executable, str(ROOT / "app.py"), "-c", "env=dev", "-c", SMALL],
        env={**os.environ, "CDK_OUTDIR": str(tmp_path / "out"), "CDK_VALIDATION": "false"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("main")
@pytest.mark.parametrize(
    ("context", "message"),
    [
        ("env=production", "there is no environment 'production'; there are dev, local, prod and staging"),
        ("catalog=nowhere.yaml", "nowhere.yaml: there is no such file"),
        ("catalog=cdk.json", "cdk.json"),
    ],
)
def test_bad_input_is_told_and_exits_2(
    context: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, context) == 2
    assert message in capsys.readouterr().err


def test_bad_input_leaves_no_traceback_and_no_assembly(tmp_path: Path) -> None:
    done = run(tmp_path / "out", "env=nope")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("main")
def test_a_stack_over_its_budget_is_told_and_exits_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(budget, "MAX_RESOURCES", 20)
    assert called(monkeypatch, "env=prod", SMALL) == 2
    assert re.search(
        r"^gaming-system-prod-network: [0-9]+ resources, the budget is 20; it has most of: ",
        capsys.readouterr().err,
        re.MULTILINE,
    )


@pytest.mark.parametrize("environment", ["prod", "dev"])
def test_it_writes_what_the_tests_look_at(environment: str, main: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert called(monkeypatch, f"env={environment}") == 0
    expected = {
        f"{whole_fleet(environment).stack_name(part)}.template.json": t
        for part, t in whole_fleet(environment).templates.items()
    }
    assert templates(main) == expected


def test_the_cdk_cli_chooses_by_context_too(main: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDK_CONTEXT_JSON", json.dumps({"env": "staging", "catalog": str(EVERY_FEATURE)}))
    assert called(monkeypatch) == 0
    fleet = small_fleet("staging")
    assert templates(main).keys() == {f"{fleet.stack_name(part)}.template.json" for part in fleet.templates}


@pytest.mark.parametrize(
    ("named", "kept"), [("destroy-data=prod", True), ("destroy-data=dev", False), ("destroy-data=prod,dev", False)]
)
def test_destroy_data_names_environments(
    named: str,
    kept: bool,  # noqa: FBT001
    main: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert called(monkeypatch, "env=dev", SMALL, named) == 0
    (logs,) = [
        resource
        for resource in templates(main)["gaming-system-dev-monitoring.template.json"]["Resources"].values()
        if resource["Type"] == "AWS::Logs::LogGroup"
    ]
    assert logs["DeletionPolicy"] == ("RetainExceptOnCreate" if kept else "Delete")


def test_an_account_brings_its_zones_along_so_that_the_cli_looks_nothing_up(
    main: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = load_environment("prod").model_copy(update={"account": "123456789012"})
    monkeypatch.setattr(app, "load_environment", lambda _: environment)
    assert called(monkeypatch, SMALL) == 0
    assert "missing" not in json.loads((main / "manifest.json").read_text(encoding="utf-8"))


def test_our_modules_do_not_talk_to_node_when_they_are_imported() -> None:
    """The app reads them while another thread waits for Node, and jsii serves one thread only."""
    program = """
import sys
sys.path[:0] = [".", "constructs"]
import aws_cdk
from jsii._kernel.providers.process import _NodeProcess

def talk(*_):
    raise AssertionError("talked to Node")

assert _NodeProcess.send
_NodeProcess.send = talk
import stacks.fleet
try:
    aws_cdk.App()
except AssertionError:
    print("would have been noticed")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "would have been noticed\n"), done.stderr
