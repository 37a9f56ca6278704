"""What must be in place in an account in AWS before anything is deployed to it; all that is missing is told at once."""

from __future__ import annotations

from botocore.exceptions import ClientError

from catalog.catalog import Catalog
from catalog.environment import Environment
from fleet.account import Account
from fleet.deploy.stacks import BOOTSTRAP_STACK, DeployedStack
from fleet.errors import InputError
from fleet.inputs import missing_inputs, required_inputs

MACHINE_IMAGE_PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"


def check_account(
    account: Account, catalog: Catalog, environment: Environment, stacks: dict[str, DeployedStack]
) -> None:
    """Refuse an account that is not prepared.

    Raises:
        InputError: Something is missing; each thing with the command that provides it.
    """
    faults = []
    bootstrap = stacks.get(BOOTSTRAP_STACK)
    if bootstrap is None or not bootstrap.complete:
        faults.append(
            f"{environment.region} of account {account.account_id} is not prepared for the CDK:\n"
            f"    cdk bootstrap aws://{account.account_id}/{environment.region}"
        )
    faults += [
        f"the SSM parameter with the {missing.kind} {'ARN' if missing.kind == 'certificate' else 'address'} is missing:\n"
        f"    {missing.command(environment.region)}"
        for missing in missing_inputs(account, required_inputs(catalog, environment))
    ]
    if not _is_machine_image(account, environment.nats.ami_id):
        faults.append(
            f"{environment.nats.ami_id} is no machine image in {environment.region} "
            f"(environments/{environment.name}.yaml: nats.ami_id); pin the newest Amazon Linux 2023 for arm64:\n"
            f"    fleet nats ami --env {environment.name} --update"
        )
    if faults:
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise InputError(f"{environment.name} cannot be deployed yet; nothing was done\n{listed}")


def _is_machine_image(account: Account, image_id: str) -> bool:
    try:
        return bool(account.ec2.describe_images(ImageIds=[image_id])["Images"])
    except ClientError as error:
        if error.response["Error"]["Code"].startswith("InvalidAMIID"):
            return False
        raise
