"""What becomes of buckets when an environment is removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import boto3
import pytest

from fleet.account import Account
from fleet.children import Ended
from fleet.deploy.cdk import CdkCli
from fleet.deploy.destroy import destroy
from fleet.progress import Step
from tests.unit.fleet.quiet import Quiet
from tests.unit.fleet.right_account import ACCOUNT

STACK = "gaming-system-dev-network"
TEMPLATE = {
    "Resources": {
        "Logs": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "records-of-traffic"}},
        "Data": {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "RetainExceptOnCreate",
            "Properties": {"BucketName": "data-to-keep"},
        },
    }
}


class Cli:
    """Stands for the CDK CLI: its assembly is empty, so that the stack is one that the catalog no longer has."""

    def __init__(self, assembly: Path) -> None:
        self.assembly = assembly
        (assembly / "manifest.json").write_text(json.dumps({"artifacts": {}}))

    def synth(self, step: Step) -> None:
        """The assembly is there already."""

    def destroy(self, step: Step) -> Ended:
        del step
        return Ended(code=0, lines=())


@pytest.fixture
def account(session: boto3.Session) -> Account:
    account = Account(session, ACCOUNT)
    account.cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps(TEMPLATE))
    for bucket in ("records-of-traffic", "data-to-keep"):
        account.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for _ in range(2):
            account.s3.put_object(Bucket=bucket, Key="one", Body=b"")
        account.s3.delete_object(Bucket=bucket, Key="one")
    return account


def test_a_bucket_that_goes_is_emptied_of_every_version_and_one_that_stays_is_not(
    account: Account, tmp_path: Path
) -> None:
    retained = destroy("dev", account, cast("CdkCli", Cli(tmp_path)), Quiet())

    assert [one.physical_id for one in retained] == ["data-to-keep"]
    buckets = {bucket["Name"] for bucket in account.s3.list_buckets()["Buckets"]}
    assert "records-of-traffic" not in buckets
    kept = account.s3.list_object_versions(Bucket="data-to-keep")
    assert (len(kept["Versions"]), len(kept["DeleteMarkers"])) == (2, 1)
