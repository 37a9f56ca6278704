"""What the local ECS wants to run, read over its API as an agent would, and what a task needs to start."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fleet.account import Account
from fleet.chunks import chunks
from fleet.local.plane.definition import CannotRunError, Definition, Image
from fleet.local.plane.scheduler import Breaker, Deployment, Rollout

_SERVICES_A_REQUEST = 10
_IMAGE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedService:
    """A service, as DescribeServices tells of it."""

    arn: str
    name: str
    cluster: str
    desired: int
    minimum_percent: int
    maximum_percent: int
    breaker: Breaker
    primary: Deployment
    completed: Deployment | None

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> WantedService:
        """Take what DescribeServices tells."""
        deployments = plain["deployments"]
        (primary,) = [each for each in deployments if each["status"] == "PRIMARY"]
        others = [each for each in deployments if each["status"] != "PRIMARY" and each["rolloutState"] == "COMPLETED"]
        configuration = plain.get("deploymentConfiguration") or {}
        return cls(
            arn=plain["serviceArn"],
            name=plain["serviceName"],
            cluster=plain["clusterArn"].rpartition("/")[2],
            desired=plain["desiredCount"],
            minimum_percent=configuration.get("minimumHealthyPercent", 100),
            maximum_percent=configuration.get("maximumPercent", 200),
            breaker=Breaker.from_plain(configuration.get("deploymentCircuitBreaker") or {}),
            primary=_deployment(primary),
            completed=_deployment(others[0]) if others else None,
        )


def _deployment(plain: Mapping[str, Any]) -> Deployment:
    rollout: Rollout = plain["rolloutState"]
    return Deployment(id=plain["id"], task_definition=plain["taskDefinition"], rollout=rollout)


class Ecs:
    """The local ECS and what it leans on.

    Args:
        account: The local AWS's account.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self._definitions: dict[str, Definition] = {}
        self._images: dict[str, float] = {}

    def services(self) -> list[WantedService]:
        """Return every service of every cluster."""
        found = []
        for cluster in self.account.ecs.list_clusters()["clusterArns"]:
            pages = self.account.ecs.get_paginator("list_services").paginate(
                cluster=cluster, PaginationConfig={"PageSize": 100}
            )
            arns = [arn for page in pages for arn in page["serviceArns"]]
            for part in chunks(arns, _SERVICES_A_REQUEST):
                answer = self.account.ecs.describe_services(cluster=cluster, services=part)
                found += [WantedService.from_plain(each) for each in answer["services"] if each["status"] == "ACTIVE"]
        return found

    def definition(self, arn: str) -> Definition:
        """Return a task definition, which never changes.

        Raises:
            CannotRunError: It is none that can be run here.
        """
        if arn not in self._definitions:
            try:
                plain = self.account.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
            except (ClientError, BotoCoreError) as error:
                raise CannotRunError(f"ClientException: Unable to describe task definition {arn}: {error}") from error
            self._definitions[arn] = Definition.from_plain(plain)
        return self._definitions[arn]

    def check_image(self, definition: Definition) -> None:
        """See that the image of a task is in its repository.

        Raises:
            CannotRunError: It is not.
        """
        # The tasks of a service start one after the other, and nobody takes an image away in between.
        if time.monotonic() - self._images.get(definition.image, -_IMAGE_SECONDS) < _IMAGE_SECONDS:
            return
        image = Image.parse(definition.image)
        wanted = {"imageTag": image.tag} if image.tag else {"imageDigest": image.digest or ""}
        try:
            self.account.ecr.describe_images(repositoryName=image.repository, imageIds=[wanted])  # type: ignore[list-item]
        except ClientError as error:
            raise CannotRunError(
                f"CannotPullContainerError: failed to resolve ref {definition.image}: not found"
            ) from error
        self._images[definition.image] = time.monotonic()

    def secrets(self, definition: Definition) -> dict[str, str]:
        """Read the secrets of a task.

        Raises:
            CannotRunError: One of them cannot be read.
        """
        return {variable: self._secret(reference) for variable, reference in definition.secrets.items()}

    def _secret(self, reference: str) -> str:
        """Read a secret: its ARN, and behind it the key inside of it, where it is a part that is wanted."""
        parts = reference.split(":")
        arn, key = ":".join(parts[:7]), parts[7] if len(parts) > 7 else ""  # noqa: PLR2004 - so many parts has an ARN
        try:
            text = self.account.secretsmanager.get_secret_value(SecretId=arn)["SecretString"]
            return str(json.loads(text)[key]) if key else text
        except (ClientError, KeyError, ValueError) as error:
            raise CannotRunError(
                "ResourceInitializationError: unable to pull secrets or registry auth: "
                f"unable to retrieve secret from asm: {arn}: {type(error).__name__}"
            ) from error
