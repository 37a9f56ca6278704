"""An engine without a server: handlers that keep their resources in a dictionary, clients that answer from another."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from local_aws.errors import UnsupportedTypeError
from local_aws.model import Stack
from local_aws.operations import Operations
from local_aws.requests import DeploymentRequest, Requests
from local_aws.resources.contract import Context, Made
from local_aws.world import World

ACCOUNT = "123456789012"
REGION = "us-east-1"
WAIT_SECONDS = 20.0


@dataclass
class FakeHandler:
    """Stands for every resource type; a resource's name is `Name`, or comes from its logical id and a count."""

    inventory: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    undeletable: set[str] = field(default_factory=set)
    before_update: Callable[[str], object] = lambda _name: None
    after_create: Callable[[str], object] = lambda _name: None
    made: int = 0

    def create(self, context: Context, properties: Mapping[str, Any]) -> Made:
        self.made += 1
        name = str(properties.get("Name") or properties.get("TopicName") or f"{context.logical_id}-{self.made}")
        self.calls.append(("create", name))
        if properties.get("Value") == "cannot be created":
            raise ValueError("this value cannot be created")
        if name in self.inventory:
            raise ValueError(f"{name} already exists")
        self.inventory[name] = {**properties, "stack tags": dict(context.tags)}
        self.after_create(name)
        return self._made(name)

    def update(self, context: Context, made: Made, old: Mapping[str, Any], new: Mapping[str, Any]) -> Made:
        del old
        name = made.physical_id
        self.calls.append(("update", name))
        self.before_update(name)
        if new.get("Value") == "cannot be updated":
            self.inventory[name]["Value"] = "half-way"
            raise ValueError("this value cannot be updated")
        if new.get("Value") == "moves":
            return self.create(context, {**new, "Name": f"{name}-moved"})
        self.inventory[name] = {**new, "stack tags": dict(context.tags)}
        return self._made(name)

    def delete(self, context: Context, made: Made, properties: Mapping[str, Any]) -> None:
        del context, properties
        self.calls.append(("delete", made.physical_id))
        if made.physical_id in self.undeletable:
            raise ValueError("this resource stays")
        self.inventory.pop(made.physical_id, None)

    def _made(self, name: str) -> Made:
        value = self.inventory[name].get("Value", "")
        return Made(name, {"Arn": f"arn:aws:test:::{name}", "Value": value, "Nested.Part": f"part of {name}"})

    def names(self) -> set[str]:
        return set(self.inventory)


@dataclass
class FakeClients:
    """Clients of a few operations; everything else is an error."""

    parameters: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def client(self, service: str, region: str) -> Any:
        assert region == REGION
        assert service in {"ssm", "secretsmanager", "ec2"}
        return self

    def get_parameter(self, *, Name: str, WithDecryption: bool = False) -> Any:  # noqa: N803 - boto3's names
        del WithDecryption
        if Name not in self.parameters:
            raise ClientError({"Error": {"Code": "ParameterNotFound", "Message": Name}}, "GetParameter")
        return {"Parameter": {"Value": self.parameters[Name]}}

    def get_secret_value(self, *, SecretId: str, **_version: str) -> Any:  # noqa: N803 - boto3's names
        if SecretId not in self.secrets:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": SecretId}}, "GetSecretValue")
        return {"SecretString": self.secrets[SecretId]}

    def describe_availability_zones(self) -> Any:
        return {"AvailabilityZones": [{"ZoneName": f"{REGION}{letter}"} for letter in "abc"]}


class Engine:
    """An engine over fakes, whose operations have ended when a method returns."""

    def __init__(self) -> None:
        self.handler = FakeHandler()
        self.clients = FakeClients()
        self.unsupported = {"AWS::SQS::Queue"}
        self.world = World(handler_for=self._handler_for, clients=self.clients)
        self.operations = Operations(self.world)
        self.requests = Requests(self.operations)

    def _handler_for(self, resource_type: str) -> FakeHandler:
        if resource_type in self.unsupported:
            raise UnsupportedTypeError(resource_type)
        return self.handler

    def request(self, template: Any, parameters: Mapping[str, str] | None = None, **options: Any) -> DeploymentRequest:
        body = template if isinstance(template, str) else json.dumps(template)
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in (parameters or {}).items()]
        return DeploymentRequest(body, given, **options)

    def deploy(
        self,
        name: str,
        template: Any,
        parameters: Mapping[str, str] | None = None,
        *,
        disable_rollback: bool = False,
        on_failure: str | None = None,
        **options: Any,
    ) -> Stack:
        """Deploy by change set, as the CDK CLI does."""
        existing = self.world.find(REGION, name)
        kind = "UPDATE" if existing and existing.status != "REVIEW_IN_PROGRESS" else "CREATE"
        stack = self.requests.stack_for_change_set(ACCOUNT, REGION, name, kind)
        change_set = self.requests.create_change_set(
            stack, "a-change-set", kind, self.request(template, parameters, **options), on_failure=on_failure
        )
        assert change_set.status == "CREATE_COMPLETE", change_set.reason
        self.requests.execute(stack, change_set, disable_rollback=disable_rollback, token=None)
        return self.ended(stack)

    def plan(
        self, name: str, template: Any, parameters: Mapping[str, str] | None = None, **options: Any
    ) -> dict[str, dict[str, Any]]:
        """Return the changes that a change set would make, by logical id."""
        stack = self.requests.stack(REGION, name)
        change_set = self.requests.create_change_set(
            stack, "a-plan", "UPDATE", self.request(template, parameters, **options)
        )
        del stack.change_sets[change_set.id]
        return {
            change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"] for change in change_set.changes
        }

    def delete(self, name: str, **options: Any) -> Stack:
        stack = self.requests.stack(REGION, name)
        self.operations.delete(stack, **options)
        return self.ended(stack)

    def ended(self, stack: Stack) -> Stack:
        self.operations.wait(stack, WAIT_SECONDS)
        assert not stack.is_busy, stack.status
        return stack


def parameter(value: Any = "v", **more: Any) -> dict[str, Any]:
    """Return a resource of a template; its name cannot be changed in place, its value can."""
    attributes = {
        key: more.pop(key)
        for key in list(more)
        if key in {"DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Condition", "Metadata"}
    }
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value, **more}, **attributes}


def template(resources: Mapping[str, Any], **sections: Any) -> dict[str, Any]:
    """Return a template."""
    return {"Resources": dict(resources), **sections}


def statuses(stack: Stack, logical_id: str) -> list[str]:
    """Return what the events tell of a resource, or of the stack itself, oldest first."""
    return [event.status for event in stack.events if event.logical_id == logical_id]
