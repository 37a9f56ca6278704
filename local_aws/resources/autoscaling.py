"""EC2 Auto Scaling: groups, their hooks and schedules."""

from __future__ import annotations

from collections.abc import Mapping

from local_aws.resources.calls import Properties, Task, call
from local_aws.resources.table import Name, Row, do
from local_aws.resources.tagging import as_map


class GroupTags:
    """A group's tags say each whether the machines take it too."""

    property = "Tags"

    def apply(self, task: Task) -> Mapping[str, str]:
        """Put the tags that there are to be, and delete the others; the stack's go to the machines as well."""
        own = list(task.new.get("Tags", []))
        tags = {
            key: {"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in task.context.tags.items()
        }
        tags |= {tag["Key"]: tag for tag in own}
        here = {"ResourceId": task.id, "ResourceType": "auto-scaling-group"}
        stale = [{**here, "Key": key} for key in task.made.tags if key not in tags]
        if stale:
            task.perform(call("delete_tags"), Tags=stale)
        if tags:
            task.perform(call("create_or_update_tags"), Tags=[{**here, **tag} for tag in tags.values()])
        return as_map(list(tags.values()))


def _group_properties(properties: Properties) -> Properties:
    """The subnets are a list in CloudFormation and one text in the API."""
    if "VPCZoneIdentifier" not in properties:
        return properties
    return {**properties, "VPCZoneIdentifier": ",".join(properties["VPCZoneIdentifier"])}


def _collect_metrics(task: Task) -> None:
    if task.old.get("MetricsCollection"):
        task.perform(call("disable_metrics_collection", AutoScalingGroupName="id"))
    for collection in task.new.get("MetricsCollection", []):
        task.perform(call("enable_metrics_collection", AutoScalingGroupName="id"), **collection)


def _notify(task: Task) -> None:
    def topics(properties: Properties) -> dict[str, Properties]:
        return {one["TopicARN"]: one for one in properties.get("NotificationConfigurations", [])}

    new = topics(task.new)
    for topic in topics(task.old):
        if topic not in new:
            task.perform(call("delete_notification_configuration", AutoScalingGroupName="id"), TopicARN=topic)
    for configuration in new.values():
        task.perform(call("put_notification_configuration", AutoScalingGroupName="id"), **configuration)


def _put_hooks(task: Task) -> None:
    new = {one["LifecycleHookName"]: one for one in task.new.get("LifecycleHookSpecificationList", [])}
    for one in task.old.get("LifecycleHookSpecificationList", []):
        if one["LifecycleHookName"] not in new:
            task.perform(
                call("delete_lifecycle_hook", AutoScalingGroupName="id"), LifecycleHookName=one["LifecycleHookName"]
            )
    for hook in new.values():
        task.perform(call("put_lifecycle_hook", AutoScalingGroupName="id"), **hook)


def _change_target_groups(task: Task) -> None:
    old, new = task.old.get("TargetGroupARNs", []), task.new.get("TargetGroupARNs", [])
    for verb, arns in (
        ("detach", [one for one in old if one not in new]),
        ("attach", [one for one in new if one not in old]),
    ):
        if arns:
            task.perform(call(f"{verb}_load_balancer_target_groups", AutoScalingGroupName="id"), TargetGroupARNs=arns)


ROWS = (
    Row(
        type_name="AWS::AutoScaling::AutoScalingGroup",
        service="autoscaling",
        name=Name("AutoScalingGroupName"),
        translate=_group_properties,
        make=call("create_auto_scaling_group", DefaultCooldown="Cooldown"),
        id="AutoScalingGroupName",
        reads=(
            (
                call("describe_auto_scaling_groups", AutoScalingGroupNames="[id]"),
                "AutoScalingGroups[0].{AutoScalingGroupARN: AutoScalingGroupARN}",
            ),
        ),
        attributes={"AutoScalingGroupARN": "AutoScalingGroupARN"},
        change=call("update_auto_scaling_group", AutoScalingGroupName="id", DefaultCooldown="Cooldown"),
        steps=(
            do(_put_hooks, "LifecycleHookSpecificationList"),
            do(_collect_metrics, "MetricsCollection"),
            do(_notify, "NotificationConfigurations"),
        ),
        changes=(do(_change_target_groups, "TargetGroupARNs"),),
        tags=GroupTags(),
        remove=call("delete_auto_scaling_group", AutoScalingGroupName="id", ForceDelete="`true`"),
    ),
    Row(
        type_name="AWS::AutoScaling::ScheduledAction",
        service="autoscaling",
        name=Name("ScheduledActionName"),
        make=call("put_scheduled_update_group_action"),
        id="ScheduledActionName",
        attributes={"ScheduledActionName": "id"},
        whole=True,
        remove=call("delete_scheduled_action", AutoScalingGroupName="AutoScalingGroupName", ScheduledActionName="id"),
    ),
    Row(
        type_name="AWS::AutoScaling::LifecycleHook",
        service="autoscaling",
        name=Name("LifecycleHookName"),
        make=call("put_lifecycle_hook"),
        id="LifecycleHookName",
        whole=True,
        remove=call("delete_lifecycle_hook", AutoScalingGroupName="AutoScalingGroupName", LifecycleHookName="id"),
    ),
)
