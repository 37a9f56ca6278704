"""Application Auto Scaling: scalable targets have tags, and hold their service between least and most; policies stay themselves.

moto 5.2.5 has no operation for tags, and leaves an ECS service with the one task that it was made with, where AWS brings the desired
count up to the least capacity as soon as the target is registered; it drops the role when a target is registered again. And it
gives a policy another ARN each time that it is put, so that whoever knows the first one points nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.applicationautoscaling.models import (
    ApplicationAutoscalingBackend,
    FakeApplicationAutoscalingPolicy,
    FakeScalableTarget,
)
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.exceptions import JsonRESTError
from moto.utilities.tagging_service import TaggingService

from local_aws.resources.moto_repairs.patching import add, around

_TAGGER = "tagger"  # where moto's other back ends keep theirs


def tag_resource(self: ApplicationAutoScalingResponse) -> str:
    """Put tags on a scalable target."""
    tagger, arn = _tagger_and_target(self)
    tagger.tag_resource(arn, TaggingService.convert_dict_to_tags_input(self._get_param("Tags")))
    return json.dumps({})


def untag_resource(self: ApplicationAutoScalingResponse) -> str:
    """Take tags off a scalable target."""
    tagger, arn = _tagger_and_target(self)
    tagger.untag_resource_using_names(arn, self._get_param("TagKeys"))
    return json.dumps({})


def list_tags_for_resource(self: ApplicationAutoScalingResponse) -> str:
    """Tell the tags of a scalable target."""
    tagger, arn = _tagger_and_target(self)
    return json.dumps({"Tags": tagger.get_tag_dict_for_resource(arn)})


def _tagger_and_target(response: ApplicationAutoScalingResponse) -> tuple[TaggingService, str]:
    backend, arn = response.applicationautoscaling_backend, response._get_param("ResourceARN")  # noqa: SLF001 (moto's way)
    if not any(target.arn == arn for targets in backend.targets.values() for target in targets.values()):
        raise JsonRESTError("ResourceNotFoundException", f"No scalable target found for ARN: {arn}")
    return getattr(backend, _TAGGER), arn


def apply() -> None:
    """Add the operations, and a place for the tags that lives as long as the back end."""
    add(ApplicationAutoScalingResponse, tag_resource, untag_resource, list_tags_for_resource)

    @around(ApplicationAutoscalingBackend, "__init__")
    def with_tags(
        original: Callable[..., None], backend: ApplicationAutoscalingBackend, *arguments: Any, **named: Any
    ) -> None:
        original(backend, *arguments, **named)
        setattr(backend, _TAGGER, TaggingService())

    @around(ApplicationAutoscalingBackend, "register_scalable_target")
    def within_bounds(
        original: Callable[..., FakeScalableTarget],
        backend: ApplicationAutoscalingBackend,
        *arguments: Any,
        **named: Any,
    ) -> FakeScalableTarget:
        target = original(backend, *arguments, **named)
        if named.get("role_arn"):
            target.role_arn = named["role_arn"]
        if target.service_namespace == "ecs":
            _, cluster, name = target.resource_id.split("/")
            (service,), _ = backend.ecs_backend.describe_services(cluster, [name])
            wanted = min(
                max(service.desired_count, target.min_capacity or 0), target.max_capacity or service.desired_count
            )
            if wanted != service.desired_count:
                backend.ecs_backend.update_service({"cluster": cluster, "service": name, "desired_count": wanted})
                service.deployments[0]["desiredCount"] = wanted
        return target

    @around(ApplicationAutoscalingBackend, "put_scaling_policy")
    def put_scaling_policy(
        original: Callable[..., FakeApplicationAutoscalingPolicy], backend: ApplicationAutoscalingBackend, **named: Any
    ) -> FakeApplicationAutoscalingPolicy:
        key = FakeApplicationAutoscalingPolicy.formulate_key(
            named["service_namespace"], named["resource_id"], named["scalable_dimension"], named["policy_name"]
        )
        before = backend.policies.get(key)
        policy = original(backend, **named)
        if before:
            policy.policy_arn = before.policy_arn
        return policy
