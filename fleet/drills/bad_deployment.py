"""Deploy a version that cannot start: ECS's circuit breaker takes it back, and nobody notices."""

from __future__ import annotations

from typing import Any

from catalog import names
from fleet.drills.field import Field
from fleet.drills.frame import Drill

_TAG = "drill-of-no-image"
_ROLLED_BACK_MINUTES = 30
_KEPT = (
    "family", "taskRoleArn", "executionRoleArn", "networkMode", "containerDefinitions", "volumes", "requiresCompatibilities",
    "cpu", "memory", "runtimePlatform",
)  # fmt: skip


async def run(field: Field) -> None:
    """Break and watch."""
    service = field.a_service()
    field.target = service.name
    ecs, cluster = field.scope.account.ecs, names.cluster(field.scope.name)
    former = str((await field.described(service.name))["taskDefinition"])
    bad = await _register(field, former)

    async def put_back() -> None:
        if (await field.described(service.name))["taskDefinition"] != former:
            await field.call(ecs.update_service, cluster=cluster, service=service.name, taskDefinition=former)
        await field.call(ecs.deregister_task_definition, taskDefinition=bad)

    field.after(put_back)
    await field.call(ecs.update_service, cluster=cluster, service=service.name, taskDefinition=bad)
    seen: list[str] = []

    async def is_taken_back() -> bool:
        described = await field.described(service.name)
        failed = [one for one in described["deployments"] if one.get("rolloutState") == "FAILED"]
        seen.extend(str(one.get("rolloutStateReason", "")) for one in failed)
        seen.extend(event["message"] for event in described.get("events", [])[:10] if "roll" in event["message"])
        return bool(described["taskDefinition"] == former)

    await field.expect_within(
        "ECS's deployment circuit breaker takes it back by itself", is_taken_back, field.within(_ROLLED_BACK_MINUTES)
    )
    said = next((text for text in seen if "circuit breaker" in text), next((text for text in seen if text), "nothing"))
    field.notes.expect("ECS says why", said, good=said != "nothing")
    await field.expect_within(
        f"{service.name} is steady on the former version", lambda: field.is_steady(service.name), field.within(6)
    )
    if field.load is None:
        field.notes.not_seen("no request failed", "nobody here reaches NATS")
    else:
        failed = sum(
            field.load.failures[subject].total() for subject in field.load.failures if subject in service.nats.serves
        )
        field.notes.expect(
            "no request failed: the former tasks served all the time", f"{failed} failed", good=not failed
        )
    await field.expect_silence(
        names.alarm(service.name, "tasks-low", field.scope.name), "a deployment never has fewer tasks than before"
    )


async def _register(field: Field, former: str) -> str:
    """Register the former version with an image that is not there."""
    ecs = field.scope.account.ecs
    found: Any = (await field.call(ecs.describe_task_definition, taskDefinition=former))["taskDefinition"]
    definition = {key: found[key] for key in _KEPT if found.get(key)}
    container = {**definition["containerDefinitions"][0]}
    repository = str(container["image"]).partition("@")[0]
    head, colon, tail = repository.rpartition(":")
    container["image"] = f"{head if colon and '/' not in tail else repository}:{_TAG}"
    definition["containerDefinitions"] = [container]
    registered: Any = await field.call(ecs.register_task_definition, **definition)
    return str(registered["taskDefinition"]["taskDefinitionArn"])


DRILL = Drill(
    name="bad-deployment",
    summary="Deploy a version whose image is not there; ECS takes it back.",
    run=run,
    in_aws=True,
)
