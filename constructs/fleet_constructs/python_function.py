"""A Lambda function of ours: Python, with its locked packages, its own log group and nothing else."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from catalog.environment import FunctionArchitecture

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / ".build" / "functions"
STAGED = ROOT / ".build" / "assets"
HOST_ARCHITECTURE = "x86_64" if platform.machine() in {"x86_64", "AMD64"} else "arm64"


class PackagesMissingError(Exception):
    """The packages of the functions were not fetched."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"the packages of the functions are not in {folder.relative_to(ROOT)}; fetch them: make setup")


class PythonFunction(Construct):
    """A function whose code is folders of this project and the packages of `requirements-functions.txt`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function_name: str,
        description: str,
        handler: str,
        sources: Sequence[str],
        architecture: FunctionArchitecture,
        variables: Mapping[str, str],
        timeout_seconds: int,
        memory_mib: int,
        log_retention: logs.RetentionDays,
        removal_policy: cdk.RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        processor = HOST_ARCHITECTURE if architecture == "host" else architecture
        self.function = lambda_.Function(
            self,
            "Resource",
            function_name=function_name,
            description=description,
            runtime=lambda_.Runtime.PYTHON_3_13,
            architecture=lambda_.Architecture.ARM_64 if processor == "arm64" else lambda_.Architecture.X86_64,
            handler=handler,
            code=lambda_.Code.from_asset(str(stage(handler, sources, architecture))),
            environment=dict(variables),
            timeout=cdk.Duration.seconds(timeout_seconds),
            memory_size=memory_mib,
            log_group=logs.LogGroup(
                self,
                "Logs",
                log_group_name=f"/aws/lambda/{function_name}",
                retention=log_retention,
                removal_policy=removal_policy,
            ),
        )


def stage(handler: str, sources: Sequence[str], architecture: FunctionArchitecture) -> Path:
    """Put a function's packages and our code side by side, and return the folder; the same input gives the same bytes.

    Raises:
        PackagesMissingError: The set-up has not fetched the packages.
    """
    packages = PACKAGES / architecture
    if not packages.is_dir():
        raise PackagesMissingError(packages)
    folder = STAGED / f"{handler.split('.')[1]}-{architecture}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(packages, folder)
    for source in sources:
        shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    return folder
