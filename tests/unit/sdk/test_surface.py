"""What `sdk` offers, and what it does without."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import sdk
from sdk import errors

ROOT = Path(__file__).parents[3]


def test_everything_that_is_offered_is_there_and_in_order() -> None:
    assert sdk.__all__ == sorted(set(sdk.__all__))
    assert [name for name in sdk.__all__ if not hasattr(sdk, name)] == []


def test_each_name_is_the_one_of_its_module() -> None:
    modules = [importlib.import_module(f"sdk.{each.name}") for each in pkgutil.iter_modules(sdk.__path__)]
    for name in sdk.__all__:
        value = getattr(sdk, name)
        assert any(vars(module).get(name) is value for module in modules), name


def test_every_error_is_offered() -> None:
    defined = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert defined <= set(sdk.__all__)


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = errors.__doc__ or ""
    for name, value in vars(errors).items():
        if isinstance(value, type) and issubclass(value, errors.SdkError):
            assert name in drawn, name


def test_a_name_that_is_not_offered_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'sdk' has no attribute 'NATSClint'"):
        _ = sdk.NATSClint  # type: ignore[attr-defined]


def test_a_service_loads_nothing_of_ours_but_messages_and_none_of_the_heavy_libraries() -> None:
    program = (
        "import sys, sdk\n"
        "from sdk import NATSClient, Service, Settings\n"
        "ours = {'catalog', 'fleet', 'stacks', 'fleet_constructs', 'nats_platform', 'functions', 'tls', 'local_aws', 'gateway'}\n"
        "foreign = {'boto3', 'botocore', 'aws_cdk', 'redis', 'pydantic', 'cryptography', 'opentelemetry'}\n"
        "print(sorted((ours | foreign) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
