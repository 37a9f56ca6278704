"""What `tls` offers, and what it does without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import tls

ROOT = Path(__file__).parents[3]


def test_everything_that_is_offered_is_there_and_in_order() -> None:
    assert sorted(tls.__all__) == sorted(set(tls.__all__))
    assert [name for name in tls.__all__ if not hasattr(tls, name)] == []


def test_a_directory_store_needs_neither_boto3_nor_anything_of_ours() -> None:
    program = (
        "import sys, tls\n"
        "ours = {'catalog', 'fleet', 'stacks', 'fleet_constructs', 'nats_platform', 'functions', 'sdk', 'local_aws'}\n"
        "foreign = {'boto3', 'botocore', 'aws_cdk', 'typer', 'ruamel.yaml'}\n"
        "print(sorted((ours | foreign) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
