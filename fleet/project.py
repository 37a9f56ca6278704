"""Where things are in the checkout that this command was installed from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CATALOG = ROOT / "service_catalog.yaml"
STATE = ROOT / ".local"
LOCAL_AWS_STATE = STATE / "aws"
LOCAL_PLANE_STATE = STATE / "plane"
IMAGES = ROOT / "images"
CDK_CLI = ROOT / "node_modules" / "aws-cdk" / "bin" / "cdk"


def assembly(environment: str) -> Path:
    """Return where the templates of an environment are written that a deployment uses."""
    return STATE / "assembly" / environment


def log(name: str) -> Path:
    """Return the file that keeps the whole output of a program that a command has run."""
    path = STATE / "log" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def tool_path() -> str:
    """Return a PATH on which the virtual environment's own programs come first; jsii looks for Node there."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
