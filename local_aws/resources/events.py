"""EventBridge: rules and schedules. Nothing fires them here: they are kept, and seen through the API."""

from __future__ import annotations

from typing import Any

from local_aws.resources.calls import Task, call
from local_aws.resources.table import Name, NotMadeError, Row, do
from local_aws.resources.tagging import Tagging


def _set_targets(task: Task) -> None:
    new = task.new.get("Targets", [])
    gone = {target["Id"] for target in task.old.get("Targets", [])} - {target["Id"] for target in new}
    bus = {"Rule": "id", "EventBusName": "EventBusName"}
    answers: list[dict[str, Any]] = []
    if gone:
        answers.append(task.perform(call("remove_targets", **bus), Ids=sorted(gone)))
    if new:
        answers.append(task.perform(call("put_targets", **bus), Targets=new))
    failed = [entry for answer in answers for entry in answer["FailedEntries"]]
    if failed:
        raise NotMadeError(f"{task.type_name}: targets were refused: {failed}")


def _remove_targets(task: Task) -> None:
    """A rule is deleted only when it has no target."""
    bus = {"EventBusName": task.new["EventBusName"]} if "EventBusName" in task.new else {}
    targets = task.client.list_targets_by_rule(Rule=task.id, **bus)["Targets"]
    if targets:
        task.client.remove_targets(Rule=task.id, Ids=[target["Id"] for target in targets], **bus)


ROWS = (
    Row(
        type_name="AWS::Events::Rule",
        service="events",
        name=Name("Name", 64),
        make=call("put_rule"),
        id="Name",
        absent=(call("describe_rule", Name="Name", EventBusName="EventBusName"), "Name"),
        attributes={"Arn": "RuleArn || Arn", "RuleName": "id"},
        whole=True,
        replaced_by=("EventBusName",),
        steps=(do(_set_targets, "Targets"),),
        tags=Tagging(
            call("tag_resource", ResourceARN="Arn"), "Tags", call("untag_resource", ResourceARN="Arn"), "TagKeys"
        ),
        before_remove=_remove_targets,
        remove=call("delete_rule", Name="id", EventBusName="EventBusName"),
        renames={"Targets.EcsParameters.TagList": "Tags"},
    ),
    Row(
        type_name="AWS::Scheduler::Schedule",
        service="scheduler",
        name=Name("Name", 64),
        make=call("create_schedule"),
        id="Name",
        attributes={"Arn": "ScheduleArn || Arn"},
        change=call("update_schedule", Name="id"),
        whole=True,
        replaced_by=("GroupName",),
        remove=call("delete_schedule", Name="id", GroupName="GroupName"),
    ),
)
