"""Workers as tasks in the environment's own network: no bastion, no way in, and a bucket as the way out."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from catalog import names
from fleet.account import Account
from fleet.chunks import chunks
from fleet.errors import InputError, WantingError
from fleet.load_test.task import WorkerPlace, WorkerTask
from load_test.plan import Plan

_DESCRIBED_AT_ONCE = 100


class EcsWorkers:
    """Workers of one run.

    Args:
        account: The account.
        environment: The environment's name.
        task: What a worker is.
        place: Where workers run.
    """

    ready_seconds = 300.0
    lead_seconds = 5.0

    def __init__(self, account: Account, environment: str, task: WorkerTask, place: WorkerPlace) -> None:
        self._ecs = account.ecs
        self._cluster = names.cluster(environment)
        self._task = task
        self._place = place
        self._arns: list[str] = []

    def start(self, plan: Plan) -> None:
        """Start them all.

        Raises:
            InputError: The caller may not.
            WantingError: ECS has no room for them.
        """
        for number in range(plan.workers):
            try:
                self._arns.append(self._run(plan, number))
            except ClientError as error:
                if error.response["Error"]["Code"] in {"AccessDeniedException", "AccessDenied"}:
                    raise InputError(
                        f"these credentials may not start workers: {error}\n"
                        "  ecs:RunTask on the task definition and iam:PassRole on its two roles are needed"
                    ) from error
                raise

    def ended(self) -> dict[int, str]:
        """Return those that have ended, and what ECS says of why."""
        found: dict[int, str] = {}
        numbers = {arn: number for number, arn in enumerate(self._arns)}
        for part in chunks(self._arns, _DESCRIBED_AT_ONCE):
            answer = self._ecs.describe_tasks(cluster=self._cluster, tasks=part)
            for task in answer["tasks"]:
                if task.get("lastStatus") == "STOPPED":
                    found[numbers[task["taskArn"]]] = _why(task)
            for failure in answer["failures"]:
                found[numbers[failure["arn"]]] = f"ECS knows it no more: {failure.get('reason', 'no reason was given')}"
        return found

    def stop(self) -> None:
        """End those that have not ended."""
        ended = self.ended()
        for number, arn in enumerate(self._arns):
            if number not in ended:
                self._ecs.stop_task(cluster=self._cluster, task=arn, reason="the load test is over")

    def _run(self, plan: Plan, number: int) -> str:
        told = {"LOAD_TEST_PREFIX": names.load_test_run(plan.run), "LOAD_TEST_WORKER": str(number)}
        answer = self._ecs.run_task(
            cluster=self._cluster,
            taskDefinition=self._task.arn,
            count=1,
            capacityProviderStrategy=[{"capacityProvider": "FARGATE", "weight": 1}],
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": list(self._place.subnets),
                    "securityGroups": [self._place.security_group],
                    "assignPublicIp": "DISABLED",
                }
            },
            overrides={
                "containerOverrides": [
                    {
                        "name": names.LOAD_TEST_IDENTITY,
                        "environment": [{"name": name, "value": value} for name, value in told.items()],
                    }
                ]
            },
            startedBy=f"load-test/{plan.run}"[:36],
            # Should the first answer be lost, the second call starts no second worker.
            clientToken=f"{plan.run}-{number}",
            propagateTags="TASK_DEFINITION",
            enableECSManagedTags=True,
        )
        if answer["failures"]:
            reasons = ", ".join(failure.get("reason", "unknown") for failure in answer["failures"])
            raise WantingError(f"ECS could not start worker {number}: {reasons}")
        return answer["tasks"][0]["taskArn"]


def _why(task: Any) -> str:
    containers = task.get("containers", [])
    told = [task.get("stoppedReason", ""), *(container.get("reason", "") for container in containers)]
    codes = [f"exit code {container['exitCode']}" for container in containers if "exitCode" in container]
    return "; ".join(filter(None, [*told, *codes])) or "no reason was given"
