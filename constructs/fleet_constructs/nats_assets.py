"""What NATS machines run, as assets of ours: the pinned server, and the agent."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from catalog.environment import Environment
from fleet_constructs.errors import PackagesMissingError
from fleet_constructs.python_function import HOST_ARCHITECTURE, ROOT, STAGED
from nats_platform.agent import build_agent
from nats_platform.packages import Package, PackageMissingError
from nats_platform.server_package import Architecture, build_server_package

MACHINES_ARCHITECTURE: Architecture = "arm64"


class NatsAssets(Construct):
    """Server and agent; who configures the cluster copies them to its bucket, so that machines read nothing but that."""

    def __init__(self, scope: Construct, construct_id: str, *, environment: Environment) -> None:
        super().__init__(scope, construct_id)
        try:
            server, agent = build_server_package(_processor(environment), STAGED), build_agent(STAGED)
        except PackageMissingError as error:
            raise PackagesMissingError(error.folder.relative_to(ROOT)) from error
        self.server_sha256 = server.sha256
        self._server = self._asset("Server", server)
        self._agent = self._asset("Agent", agent)
        self.server = _place(self._server, server)
        self.agent = _place(self._agent, agent)

    def read_statements(self) -> list[iam.PolicyStatement]:
        """Say what lets somebody read these two, and nothing else of the CDK's bucket.

        A statement each: within one the CDK sorts resources, so that the order would follow the checksums.
        """
        return [
            iam.PolicyStatement(
                sid=sid, actions=["s3:GetObject"], resources=[asset.bucket.arn_for_objects(asset.s3_object_key)]
            )
            for sid, asset in (("ReadServer", self._server), ("ReadAgent", self._agent))
        ]

    def _asset(self, construct_id: str, package: Package) -> s3_assets.Asset:
        # By our own checksum: the CDK would read and hash the file once more at every synthesis.
        return s3_assets.Asset(
            self,
            construct_id,
            path=str(package.path),
            asset_hash=package.sha256,
            asset_hash_type=cdk.AssetHashType.CUSTOM,
        )


def _processor(environment: Environment) -> Architecture:
    """Return the processor of the machines; where functions run on the machine that deploys, so do they."""
    return HOST_ARCHITECTURE if environment.function_architecture == "host" else MACHINES_ARCHITECTURE


def _place(asset: s3_assets.Asset, package: Package) -> str:
    place = {"bucket": asset.s3_bucket_name, "key": asset.s3_object_key, "sha256": package.sha256}
    return json.dumps(place, separators=(",", ":"), sort_keys=True)
