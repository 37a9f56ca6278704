"""A Lambda function of ours: Python, with its locked packages, its own log group and nothing else."""

from __future__ import annotations

import hashlib
import platform
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from catalog.environment import FunctionArchitecture
from fleet_constructs.errors import PackagesMissingError

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / ".build" / "functions"
STAGED = ROOT / ".build" / "assets"
HOST_ARCHITECTURE: Literal["arm64", "x86_64"] = "x86_64" if platform.machine() in {"x86_64", "AMD64"} else "arm64"


class Placement(TypedDict, total=False):
    """Where a function stands, as the CDK takes it."""

    vpc: ec2.IVpc
    vpc_subnets: ec2.SubnetSelection
    security_groups: Sequence[ec2.ISecurityGroup]


@dataclass(frozen=True, slots=True)
class FunctionNetwork:
    """The private subnets, for a function that reaches what stands in them; of AWS it reaches nothing from there."""

    vpc: ec2.IVpc
    security_group: ec2.ISecurityGroup

    def placement(self) -> Placement:
        """Return where the function stands."""
        return {
            "vpc": self.vpc,
            "vpc_subnets": ec2.SubnetSelection(subnet_group_name="private"),
            "security_groups": [self.security_group],
        }

    @staticmethod
    def permission() -> iam.PolicyStatement:
        """Say what Lambda needs to give the function its addresses; it knows no narrower resource."""
        return iam.PolicyStatement(
            sid="StandInNetwork",
            actions=[
                "ec2:AssignPrivateIpAddresses",
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSubnets",
                "ec2:UnassignPrivateIpAddresses",
            ],
            resources=["*"],
        )


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
        network: FunctionNetwork | None = None,
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
            inline_policies={
                "Work": iam.PolicyDocument(
                    statements=[write_log, *permissions, *([network.permission()] if network else [])]
                )
            },
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
            **(network.placement() if network else {}),
        )


def stage(name: str, sources: Sequence[str], architecture: FunctionArchitecture) -> Path:
    """Put a function's packages and our code into one archive, and return it; the same input gives the same bytes.

    The archive is named by what is in it, and appears whole: syntheses that run side by side share it. One file, since the CDK
    looks at every file of an asset at every synthesis.

    Raises:
        PackagesMissingError: The set-up has not fetched the packages.
    """
    packages = PACKAGES / architecture
    if not packages.is_dir():
        raise PackagesMissingError(packages.relative_to(ROOT))
    code = [path for source in sources for path in sorted((ROOT / source).rglob("*.py"))]
    digest = hashlib.sha256((PACKAGES / ".stamp").read_bytes())
    for path in code:
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    archive = STAGED / f"{name}-{architecture}-{digest.hexdigest()[:16]}.zip"
    if not archive.is_file():
        STAGED.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=STAGED) as temporary:
            whole = Path(temporary) / archive.name
            with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as target:
                for path in sorted(path for path in packages.rglob("*") if path.is_file()):
                    _add(target, path, packages)
                for path in code:
                    _add(target, path, ROOT)
            whole.replace(archive)
    return archive


def _add(target: zipfile.ZipFile, path: Path, root: Path) -> None:
    """Add a file without what differs from machine to machine: its date, its owner, its mode."""
    entry = zipfile.ZipInfo(str(path.relative_to(root)))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    target.writestr(entry, path.read_bytes())
