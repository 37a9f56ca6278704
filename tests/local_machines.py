"""A local AWS with three NATS machines in it, as a deployment would have left them, for the plane to run."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import platform
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from catalog import load_catalog, load_environment, names
from catalog.cluster import cluster_request
from fleet.account import Account, local_account
from fleet.local.plane.client import LocalPlane, RunningPlane
from fleet.local.plane.places import Places
from fleet.local.server import LocalAws
from fleet_constructs.arns import account as account_token
from fleet_constructs.nats_documents import document_content
from fleet_constructs.nats_scripts import boot
from nats_platform.agent import build_agent
from nats_platform.commander import ENVIRONMENT_TAG, SLOT_TAG
from nats_platform.configuration import render
from nats_platform.permissions import wanted_users
from nats_platform.request import ClusterRequest
from nats_platform.server_package import build_server_package
from tests.unit.fleet.quiet import Quiet

ROOT = Path(__file__).parents[1]
NODES = names.NATS_NODES
ENVIRONMENT = load_environment("local")
DEADLINE_SECONDS = 120


class LocalMachines:
    """The local AWS, and the plane over it."""

    def __init__(self, folder: Path, certificates: Path) -> None:
        self.aws = LocalAws(folder / "aws")
        self.plane = LocalPlane(folder / "plane", self.aws)
        self.folder = folder
        self._certificates = certificates
        self.running: RunningPlane | None = None
        with Quiet().step("aws") as step:
            self.account: Account = local_account(self.aws.start(step))
        self.places = Places.of(folder / "plane")

    def start(self) -> None:
        """Start the plane."""
        with Quiet().step("plane") as step:
            self.running = self.plane.start(step, minute_seconds=2)

    def seed(self) -> None:
        """Put into the local AWS what a deployment makes: buckets, documents, and a group of one machine a slot."""
        catalog = load_catalog(ROOT / "service_catalog.yaml")
        request = ClusterRequest.from_plain(cluster_request(catalog, ENVIRONMENT))
        self.request = request
        self._seed_certificates()
        packages = self._certificates.parent / "packages"
        processor: Any = "x86_64" if platform.machine() in {"x86_64", "AMD64"} else "arm64"
        current: dict[str, Any] = {"version": 1, "configuration": {}}
        bucket = self.bucket(names.nats_bucket)
        for kind, package in {
            "agent": build_agent(packages),
            "server": build_server_package(processor, packages),
        }.items():
            key = f"assets/{package.sha256}"
            self.account.s3.put_object(Bucket=bucket, Key=key, Body=package.path.read_bytes())
            current[kind] = {"bucket": bucket, "key": key, "sha256": package.sha256}
        for node in NODES:
            text = render(request, wanted_users(request), node, self.places.place(node))
            current["configuration"][node] = self.put_configuration(node, text)
        self.account.s3.put_object(Bucket=bucket, Key="current.json", Body=json.dumps(current).encode())
        self.account.logs.create_log_group(logGroupName=names.nats_log_group("local"))
        for command in names.NATS_COMMANDS:
            self.account.ssm.create_document(
                Name=names.nats_document("local", command),
                DocumentType="Command",
                Content=json.dumps(document_content(command)),
            )
        subnet = self.account.ec2.describe_subnets()["Subnets"][0]
        autoscaling = self.account.groups
        for node in NODES:
            disk = self.account.ec2.create_volume(Size=8, AvailabilityZone=subnet["AvailabilityZone"])["VolumeId"]
            script = "\n".join(["#!/bin/bash", *boot(ENVIRONMENT, node, address_id="eni-1", disk_id=disk)])
            script = script.replace(account_token(), self.account.account_id)
            tags: Any = [{"Key": SLOT_TAG, "Value": node}, {"Key": ENVIRONMENT_TAG, "Value": "local"}]
            self.account.ec2.create_launch_template(
                LaunchTemplateName=node,
                LaunchTemplateData={
                    "ImageId": "ami-12345678",
                    "InstanceType": "t4g.small",
                    "UserData": base64.b64encode(script.encode()).decode(),
                    "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
                },
            )
            autoscaling.create_auto_scaling_group(
                AutoScalingGroupName=node,
                LaunchTemplate={"LaunchTemplateName": node, "Version": "1"},
                MinSize=1,
                MaxSize=1,
                VPCZoneIdentifier=subnet["SubnetId"],
                Tags=[tag | {"PropagateAtLaunch": True} for tag in tags],
            )

    def bucket(self, name: Callable[[str, str, str], str]) -> str:
        bucket = name("local", self.account.account_id, self.account.region)
        with contextlib.suppress(self.account.s3.exceptions.BucketAlreadyOwnedByYou):
            self.account.s3.create_bucket(Bucket=bucket)
            self.account.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return bucket

    def put_configuration(self, node: str, text: str) -> dict[str, str]:
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        key = f"configuration/{node}/{sha256}.conf"
        put = self.account.s3.put_object(Bucket=self.bucket(names.nats_bucket), Key=key, Body=text.encode())
        return {"key": key, "version_id": put["VersionId"], "sha256": sha256}

    def _seed_certificates(self) -> None:
        bucket = self.bucket(names.certificates_bucket)
        pointers = list(self._certificates.rglob("current.json"))
        for pointer in pointers:
            plain = json.loads(pointer.read_text())
            place = pointer.parent
            for name, file in plain["files"].items():
                path = place / plain["version"] / name
                key = str(path.relative_to(self._certificates))
                file["version_id"] = self.account.s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())[
                    "VersionId"
                ]
            self.account.s3.put_object(
                Bucket=bucket, Key=str(pointer.relative_to(self._certificates)), Body=json.dumps(plain).encode()
            )

    def ask(self, name: str, /, **arguments: Any) -> Any:
        """Ask the plane."""
        assert self.running
        return self.running.ask(name, **arguments)

    def status(self, part: str) -> Any:
        """Return what the plane tells of a part."""
        return self.ask("status")[part]

    def row(self, node: str) -> dict[str, Any]:
        """Return what the plane tells of a node."""
        found: dict[str, Any] = next(row for row in self.status("nodes")["rows"] if row["name"] == node)
        return found

    def cache_rows(self) -> list[dict[str, Any]]:
        """Return what the plane tells of the cache's servers, the primary first."""
        rows: list[dict[str, Any]] = self.status("cache")["rows"]
        return sorted(rows, key=lambda row: bool(row["detail"] == "replica"))

    def leading_member(self) -> str:
        """Return the node that leads the cache, as ElastiCache tells it."""
        (group,) = self.account.elasticache.describe_replication_groups()["ReplicationGroups"]
        nodes = group["NodeGroups"][0]["NodeGroupMembers"]
        return next(node["CacheClusterId"] for node in nodes if node.get("CurrentRole") == "primary")

    def routes(self, node: str) -> set[str]:
        """Return the nodes that a node has routes to."""
        address = f"http://127.0.0.1:{self.places.nodes[node].monitor}/routez"
        with urllib.request.urlopen(address, timeout=5) as answer:
            return {route["remote_name"] for route in json.load(answer).get("routes") or []}

    def wait_until_whole(self) -> None:
        """Wait until each machine has booted and is well."""
        until(
            lambda: (
                bool(rows := self.status("nodes")["rows"])
                and all(row["health"] == "healthy" and row["detail"].startswith("booted") for row in rows)
            ),
            "every node was well",
        )

    def end(self) -> None:
        """End the plane and the local AWS."""
        self.plane.stop()
        self.aws.stop()


def until(question: Callable[[], bool], what: str) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: It never was.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if question():
                return
        time.sleep(0.05)
    raise AssertionError(f"it never came that {what}")
