"""What an environment has for a load test: the task definition of a worker, and where one may run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from botocore.exceptions import ClientError

from catalog import names
from catalog.environment import Environment
from fleet.account import Account
from fleet.errors import InputError


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """The task definition of a worker."""

    arn: str
    repository: str
    image_id: Mapping[str, str]
    """Tag or digest of its image, as ECR is asked for it."""
    variables: Mapping[str, str]
    """What its container is told."""


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """Where in the environment's network workers run."""

    subnets: tuple[str, ...]
    security_group: str


def worker_task(account: Account, environment: Environment) -> WorkerTask:
    """Return the task definition of an environment's workers.

    Raises:
        InputError: There is none.
    """
    family = names.task_family(names.LOAD_TEST_IDENTITY, environment.name)
    try:
        definition = account.ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"ClientException", "InvalidParameterException"}:
            raise
        raise InputError(
            f"{environment.name} has no task definition {family}, as which workers run\n"
            f"  deploy it: make deploy ENV={environment.name}\n"
            f"  it is made where at least one enabled service runs the image {names.REFERENCE_RUNTIME}, which holds the worker"
        ) from None
    (container,) = definition["containerDefinitions"]
    reference = container["image"].partition("/")[2]
    by = "@" if "@" in reference else ":"
    repository, _, version = reference.rpartition(by)
    return WorkerTask(
        definition["taskDefinitionArn"],
        repository,
        {"imageDigest" if by == "@" else "imageTag": version},
        {variable["name"]: variable["value"] for variable in container["environment"]},
    )


def worker_place(account: Account, environment: Environment) -> WorkerPlace:
    """Return where workers run.

    Raises:
        InputError: The deployed stack does not say so.
    """
    stack = names.stack(environment.name, "network")
    try:
        described = account.cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        described = []
    told = {output["OutputKey"]: output["OutputValue"] for each in described for output in each.get("Outputs", [])}
    if not {names.LOAD_TEST_SUBNETS, names.LOAD_TEST_SECURITY_GROUP} <= told.keys():
        raise InputError(
            f"the stack {stack} does not say where workers run\n  deploy it: make deploy ENV={environment.name}"
        )
    return WorkerPlace(tuple(told[names.LOAD_TEST_SUBNETS].split(",")), told[names.LOAD_TEST_SECURITY_GROUP])


def check_image(account: Account, environment: Environment, task: WorkerTask) -> None:
    """Refuse a task whose image is not there.

    Raises:
        InputError: It is not.
    """
    found = account.ecr.batch_get_image(repositoryName=task.repository, imageIds=[dict(task.image_id)])  # type: ignore[list-item]
    if not found["images"]:
        (version,) = task.image_id.values()
        raise InputError(
            f"the image {task.repository}, {version}, is not there\n  push it: fleet images push --env {environment.name}"
        )
