"""What the services stand on, as far as it has a name: stacks, repositories, logs; and other environments in the account."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Any

from catalog import names
from fleet.deploy.stacks import BOOTSTRAP_STACK, read_stacks, stacks_of
from fleet.images.required import repositories
from fleet.verify.check import Check, Checks
from fleet.verify.scope import NO_TASKS, STACK_PARTS, Scope


def check_stacks(scope: Scope) -> list[Check]:
    """Look for stacks that are missing, stuck, left over, or another environment's."""
    checks = scope.checks()
    every = read_stacks(scope.account)
    mine = stacks_of(scope.name, every)
    groups = [names.services_part(group, number) for group, number in scope.catalog.services_stacks]
    wanted = [names.stack(scope.name, part) for part in (*STACK_PARTS, *groups)]
    for name in wanted:
        stack = mine.get(name)
        checks.holds(
            "stack.complete",
            name,
            stack is not None and stack.complete,
            "complete",
            stack.status if stack else "missing",
        )
    for name in sorted(mine.keys() - set(wanted)):
        checks.lacks(
            "stack.orphan", name, "nothing: the catalog has no such stack", mine[name].status,
            f"aws cloudformation delete-stack --region {scope.environment.region} --stack-name {name}",
        )  # fmt: skip
    others = {
        name.removeprefix(f"{names.PLATFORM}-").partition("-")[0]
        for name in every.keys() - mine.keys()
        if name.startswith(f"{names.PLATFORM}-") and name != BOOTSTRAP_STACK
    }
    if others:
        checks.warn(
            "account.environments",
            scope.name,
            "an account and region of its own",
            f"shared with {', '.join(sorted(others))}",
        )
    return checks.made


def check_repositories(scope: Scope) -> list[Check]:
    """Look at the image repositories: one an entry, enabled or not."""
    checks = scope.checks()
    pages = scope.account.ecr.get_paginator("describe_repositories").paginate()
    found = {repository["repositoryName"]: repository for page in pages for repository in page["repositories"]}
    for name in repositories(scope.catalog, scope.name):
        repository: Any = found.get(name)
        if checks.holds("repository.exists", name, bool(repository), "there", "there" if repository else "missing"):
            checks.equal("repository.tags", name, "IMMUTABLE", repository.get("imageTagMutability"))
            scan = repository.get("imageScanningConfiguration", {}).get("scanOnPush")
            checks.equal("repository.scan-on-push", name, expected=True, found=scan)
    return checks.made


def check_log_group(scope: Scope) -> list[Check]:
    """Look at the fleet's one log group."""
    checks = scope.checks()
    name = names.log_group(scope.name)
    pages = scope.account.logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    group: Any = next((one for page in pages for one in page["logGroups"] if one.get("logGroupName") == name), None)
    if checks.holds("log-group.exists", name, bool(group), "there", "there" if group else "missing"):
        expected = scope.environment.monitoring.log_retention_days
        checks.equal("log-group.retention-days", name, expected, group.get("retentionInDays"))
    return checks.made


def check_log_streams(scope: Scope, task_ids: dict[str, list[str]], threads: Executor) -> list[Check]:
    """Look for a log stream of every running task; one that logs nothing is one that nobody can help."""
    checks = scope.checks()
    group = names.log_group(scope.name)
    if not scope.claims_tasks:
        for entry in scope.catalog.enabled:
            checks.unproven("log-stream.exists", entry.name, "a stream for each task", NO_TASKS)
        return checks.made

    def has_stream(stream: str) -> bool:
        found = scope.account.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream, limit=1)
        return any(one.get("logStreamName") == stream for one in found["logStreams"])

    streams = [(service, f"{service}/{service}/{task}") for service, tasks in task_ids.items() for task in tasks]
    there = threads.map(has_stream, [stream for _, stream in streams])
    silent: dict[str, list[str]] = {service: [] for service in task_ids}
    for (service, stream), is_there in zip(streams, there, strict=True):
        if not is_there:
            silent[service].append(stream)
    for service, lacking in silent.items():
        if task_ids[service]:
            _check_streams(checks, service, len(task_ids[service]), lacking)
    return checks.made


def _check_streams(checks: Checks, service: str, tasks: int, lacking: list[str]) -> None:
    checks.holds(
        "log-stream.exists", service, not lacking, f"a stream for each of {tasks} tasks",
        f"none for {', '.join(lacking)}" if lacking else f"{tasks}",
        "see the task's stop reason and its execution role",
    )  # fmt: skip
