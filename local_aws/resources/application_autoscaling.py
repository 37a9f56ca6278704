"""Application Auto Scaling: targets and the policies on them."""

from __future__ import annotations

from local_aws.resources.calls import Properties, Task, call
from local_aws.resources.table import Row, do
from local_aws.resources.tagging import Tagging

_TARGET = {"ServiceNamespace": "ServiceNamespace", "ResourceId": "ResourceId", "ScalableDimension": "ScalableDimension"}


def _policy_properties(properties: Properties) -> Properties:
    """A policy may name its target by the target's physical id, which holds all three parts."""
    if "ScalingTargetId" not in properties:
        return properties
    resource, dimension, namespace = properties["ScalingTargetId"].split("|")
    rest = {name: value for name, value in properties.items() if name != "ScalingTargetId"}
    return {**rest, "ResourceId": resource, "ScalableDimension": dimension, "ServiceNamespace": namespace}


def _schedule(task: Task) -> None:
    new = {action["ScheduledActionName"]: action for action in task.new.get("ScheduledActions", [])}
    for action in task.old.get("ScheduledActions", []):
        if action["ScheduledActionName"] not in new:
            task.perform(call("delete_scheduled_action", **_TARGET), ScheduledActionName=action["ScheduledActionName"])
    for action in new.values():
        task.perform(call("put_scheduled_action", **_TARGET), **action)


ROWS = (
    Row(
        type_name="AWS::ApplicationAutoScaling::ScalableTarget",
        service="application-autoscaling",
        make=call("register_scalable_target", **_TARGET),
        id="join('|', [ResourceId, ScalableDimension, ServiceNamespace])",
        reads=(
            (
                call(
                    "describe_scalable_targets",
                    ServiceNamespace="ServiceNamespace",
                    ResourceIds="[ResourceId]",
                    ScalableDimension="ScalableDimension",
                ),
                "ScalableTargets[0].{ScalableTargetARN: ScalableTargetARN}",
            ),
        ),
        attributes={"Id": "id", "ScalableTargetARN": "ScalableTargetARN"},
        whole=True,
        steps=(do(_schedule, "ScheduledActions"),),
        tags=Tagging(
            call("tag_resource", ResourceARN="ScalableTargetARN"),
            "Tags",
            call("untag_resource", ResourceARN="ScalableTargetARN"),
            "TagKeys",
        ),
        remove=call("deregister_scalable_target", **_TARGET),
    ),
    Row(
        type_name="AWS::ApplicationAutoScaling::ScalingPolicy",
        service="application-autoscaling",
        translate=_policy_properties,
        make=call("put_scaling_policy"),
        id="PolicyARN",
        attributes={"Arn": "id"},
        whole=True,
        remove=call("delete_scaling_policy", PolicyName="PolicyName", **_TARGET),
    ),
)
