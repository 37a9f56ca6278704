"""Small templates, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from catalog.cost import Cost, Usage
from fleet.cost.lines import Line
from fleet.cost.prices import PriceBook, load_prices
from fleet.cost.report import Report, make_report
from fleet.cost.resources import Resources

TODAY = date(2026, 11, 26)
BOOK = load_prices()
NOTHING_USED = Usage(**dict.fromkeys(Usage.model_fields, 0.0) | {"spot_discount_percent": 60.0})

Body = Mapping[str, Any]


def body(kind: str, **properties: Any) -> Body:
    return {"Type": kind, "Properties": properties}


def task(cpu: int = 256, memory: int = 512, architecture: str | None = "ARM64", **more: Any) -> Body:
    platform = {"RuntimePlatform": {"CpuArchitecture": architecture}} if architecture else {}
    more.setdefault("ContainerDefinitions", [{"Name": "main"}])
    return body(
        "AWS::ECS::TaskDefinition",
        Cpu=str(cpu),
        Memory=str(memory),
        **platform,
        **more,
    )


def service(count: int | None = 1, *strategy: Body, task_definition: str = "Task", **more: Any) -> Body:
    counted = {} if count is None else {"DesiredCount": count}
    chosen = list(strategy) or [{"CapacityProvider": "FARGATE", "Weight": 1}]
    return body(
        "AWS::ECS::Service",
        ServiceName="quest-system-nats",
        TaskDefinition={"Ref": task_definition},
        CapacityProviderStrategy=chosen,
        **counted,
        **more,
    )


def machines(kind: str = "m6i.xlarge", count: int = 3, *disks: Body, **more: Any) -> dict[str, Body]:
    mappings = [{"DeviceName": "/dev/xvda", "Ebs": dict(disk)} for disk in disks]
    data = {"InstanceType": kind, "BlockDeviceMappings": mappings, **more}
    return {
        "Template": body("AWS::EC2::LaunchTemplate", LaunchTemplateData=data),
        "Group": body(
            "AWS::AutoScaling::AutoScalingGroup",
            MinSize=str(count),
            MaxSize=str(count),
            LaunchTemplate={"LaunchTemplateId": {"Ref": "Template"}, "Version": "1"},
        ),
    }


def cache(
    kind: str = "cache.t4g.small", engine: str = "valkey", shards: int = 1, replicas: int = 1, **more: Any
) -> Body:
    return body(
        "AWS::ElastiCache::ReplicationGroup",
        CacheNodeType=kind,
        Engine=engine,
        NumNodeGroups=shards,
        ReplicasPerNodeGroup=replicas,
        **more,
    )


def alarm(**more: Any) -> Body:
    metric = {"Namespace": "AWS/ECS", "MetricName": "CPUUtilization", "Period": 60}
    return body("AWS::CloudWatch::Alarm", **(more or metric))


def report(
    bodies: Mapping[str, Body], *, usage: Usage = NOTHING_USED, budget: float | None = None, book: PriceBook = BOOK
) -> Report:
    cost = Cost(max_base_usd=budget, usage=usage)
    return make_report("test", "us-east-1", Resources({"stack": {"Resources": bodies}}), cost, book, TODAY)


def base_usd(bodies: Mapping[str, Body]) -> float:
    """Return what is paid though nobody uses anything, in whole cents; everything must have been counted."""
    found = report(bodies)
    assert found.gaps == ()
    return round(found.base_usd, 2)


def tasks_usd(bodies: Mapping[str, Body]) -> float:
    """Return what the tasks alone cost, in whole cents."""
    return round(sum(line.usd for line in report(bodies).lines if line.part in {"services", "gateway"}), 2)


def only(found: Report, what: str) -> Line:
    """Return the only row of a name."""
    (line,) = [line for line in found.merged if line.what == what]
    return line
