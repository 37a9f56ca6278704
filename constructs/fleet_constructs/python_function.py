"""A Lambda function of ours: Python, with its locked packages, its own log group and nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
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
        permissions: Sequence[iam.PolicyStatement],
        log_retention: logs.RetentionDays,
        removal_policy: cdk.RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/aws/lambda/{function_name}",
            retention=log_retention,
            removal_policy=removal_policy,
        )
        write_log = iam.PolicyStatement(
            sid="Log", actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn]
        )
        # All in the role itself: a policy beside it may come after the first call, and go before the last.
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"Function {function_name}",
            inline_policies={"Work": iam.PolicyDocument(statements=[write_log, *permissions])},
        )
        processor = HOST_ARCHITECTURE if architecture == "host" else architecture
        self.function = lambda_.Function(
            self,
            "Resource",
            function_name=function_name,
            description=description,
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64 if processor == "arm64" else lambda_.Architecture.X86_64,
            handler=handler,
            code=lambda_.Code.from_asset(str(stage(handler.split(".")[1], sources, architecture))),
            environment=dict(variables),
            timeout=cdk.Duration.seconds(timeout_seconds),
            memory_size=memory_mib,
            # Its permissions stand in the role above and nowhere else.
            role=role.without_policy_updates(),
            log_group=log_group,
        )


def stage(name: str, sources: Sequence[str], architecture: FunctionArchitecture) -> Path:
    """Put a function's packages and our code side by side, and return the folder.

    The folder is named by what is in it, and appears whole: syntheses that run side by side share it.

    Raises:
        PackagesMissingError: The set-up has not fetched the packages.
    """
    packages = PACKAGES / architecture
    if not packages.is_dir():
        raise PackagesMissingError(packages)
    code = [path for source in sources for path in sorted((ROOT / source).rglob("*.py"))]
    digest = hashlib.sha256((PACKAGES / ".stamp").read_bytes())
    for path in code:
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    folder = STAGED / f"{name}-{architecture}-{digest.hexdigest()[:16]}"
    if not folder.is_dir():
        STAGED.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=STAGED) as temporary:
            whole = Path(temporary) / "whole"
            shutil.copytree(packages, whole)
            for path in code:
                target = whole / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            with contextlib.suppress(OSError):  # another synthesis was faster, with the same
                whole.rename(folder)
    return folder
