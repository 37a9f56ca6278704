"""Who is in use: what the running tasks were told that they may do, whatever the catalog says by now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MOST_AT_ONCE = 100  # tasks that ECS describes in one answer


@dataclass(frozen=True)
class Usage:
    """The tasks of one environment's cluster, and its stacks."""

    cluster: str
    stack_prefix: str
    ecs: Any
    cloudformation: Any

    def contracts(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return service and contract of every task definition that a task runs on; of a service that changes there are two."""
        return [contract for arn in sorted(self._definitions()) if (contract := self._contract(arn))]

    def families(self) -> set[str]:
        """Return the families of the task definitions that a task runs on, one that ends but has not yet included."""
        return {arn.rpartition("/")[2].partition(":")[0] for arn in self._definitions()}

    def deployments_under_way(self) -> list[str]:
        """Return the stacks that change just now: what they put in service, or back, may run on no task yet."""
        pages = self.cloudformation.get_paginator("list_stacks").paginate(StackStatusFilter=_IN_PROGRESS)
        return sorted(
            stack["StackName"]
            for page in pages
            for stack in page["StackSummaries"]
            if stack["StackName"].startswith(self.stack_prefix)
        )

    def _definitions(self) -> set[str]:
        return {task["taskDefinitionArn"] for task in self._tasks() if task["lastStatus"] != "STOPPED"}

    def _tasks(self) -> Iterator[Mapping[str, Any]]:
        """Yield the tasks that run, and those that end but have not yet."""
        pages = self.ecs.get_paginator("list_tasks")
        for desired in ("RUNNING", "STOPPED"):
            for page in pages.paginate(
                cluster=self.cluster, desiredStatus=desired, PaginationConfig={"PageSize": _MOST_AT_ONCE}
            ):
                if arns := page["taskArns"]:
                    yield from self.ecs.describe_tasks(cluster=self.cluster, tasks=arns)["tasks"]

    def _contract(self, definition: str) -> tuple[str, Mapping[str, Any]] | None:
        """Return what a task definition's container is told; nothing for one that is none of the catalog's services."""
        found = self.ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
        for container in found["containerDefinitions"]:
            told = {variable["name"]: variable["value"] for variable in container.get("environment", [])}
            if "SERVICE_CONTRACT" in told:
                return told["SERVICE_NAME"], json.loads(told["SERVICE_CONTRACT"])
        return None


_IN_PROGRESS = [
    "CREATE_IN_PROGRESS",
    "ROLLBACK_IN_PROGRESS",
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
]
