"""What runs: tasks on Fargate, machines with their disks, nodes of the cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from fleet.cost.charge import HOURS_A_MONTH, Charge, Gap, hourly, monthly
from fleet.cost.resources import Resource, Resources, UnreadableError, number

CPU_UNITS_A_VCPU = 1024
MIB_A_GB = 1024
_INCLUDED_STORAGE_GB = 20
_INCLUDED_IOPS = 3000
_INCLUDED_THROUGHPUT = 125
_PROVIDERS = {"FARGATE": False, "FARGATE_SPOT": True}


def ecs_service(service: Resource, resources: Resources) -> Iterator[Charge]:
    """Yield the tasks of a service, on demand and on Spot."""
    task = one_task(resources.referred(service, service.properties.get("TaskDefinition")))
    one = replace(
        task,
        part="gateway" if service.properties.get("LoadBalancers") else "services",
        service=service.text("ServiceName"),
    )
    for on_spot, count in providers(service, least_tasks(service, resources)).items():
        if count:
            how = "Spot" if on_spot else "on demand"
            yield replace(one, what=f"{one.what}, {how}", quantity=count, on_spot=on_spot)


def one_task(definition: Resource) -> Charge:
    """Return one task, whole month, on demand."""
    platform = definition.properties.get("RuntimePlatform", {})
    if platform.get("OperatingSystemFamily", "LINUX") != "LINUX":
        raise UnreadableError("RuntimePlatform is not Linux")
    architecture = platform.get("CpuArchitecture", "X86_64").lower()
    vcpu = definition.number("Cpu") / CPU_UNITS_A_VCPU
    memory_gb = definition.number("Memory") / MIB_A_GB
    terms = [
        (f"fargate.{architecture}.vcpu", vcpu * HOURS_A_MONTH),
        (f"fargate.{architecture}.gb", memory_gb * HOURS_A_MONTH),
    ]
    storage = number(
        "SizeInGiB", definition.properties.get("EphemeralStorage", {}).get("SizeInGiB", _INCLUDED_STORAGE_GB)
    )
    if storage > _INCLUDED_STORAGE_GB:
        terms.append(("fargate.storage", (storage - _INCLUDED_STORAGE_GB) * HOURS_A_MONTH))
    return Charge("services", f"{vcpu:g} vCPU {memory_gb:g} GB {architecture}", 1, "task", tuple(terms))


def scaling(service: Resource, resources: Resources) -> Resource | None:
    """Return what scales a service, if anything does."""
    for target in resources.of("AWS::ApplicationAutoScaling::ScalableTarget"):
        match target.properties.get("ResourceId"):
            case {"Fn::Join": [str(), [*_, {"Fn::GetAtt": [str(logical_id), "Name"]}]]}:
                if (target.stack, logical_id) == (service.stack, service.logical_id):
                    return target
    return None


def least_tasks(service: Resource, resources: Resources) -> int:
    """Return how many tasks a service has when nothing happens."""
    if target := scaling(service, resources):
        return int(target.number("MinCapacity"))
    return int(service.number("DesiredCount", 1))


def providers(service: Resource, count: int) -> dict[bool, int]:
    """Return how many of a service's tasks run on demand (False) and on Spot (True): the bases first, the rest by weight.

    Raises:
        UnreadableError: Tasks are bought in another way.
    """
    strategy = service.properties.get("CapacityProviderStrategy")
    if not strategy:
        if service.properties.get("LaunchType") != "FARGATE":
            raise UnreadableError("neither CapacityProviderStrategy nor LaunchType FARGATE says how tasks are bought")
        return {False: count, True: 0}
    if unknown := {item["CapacityProvider"] for item in strategy} - _PROVIDERS.keys():
        raise UnreadableError(f"CapacityProvider is {', '.join(sorted(unknown))}")
    shares = {False: 0, True: 0}
    for item in strategy:
        shares[_PROVIDERS[item["CapacityProvider"]]] += min(int(item.get("Base", 0)), count - sum(shares.values()))
    weights = {_PROVIDERS[item["CapacityProvider"]]: int(item.get("Weight", 0)) for item in strategy}
    rest = count - sum(shares.values())
    if rest and not sum(weights.values()):
        raise UnreadableError("CapacityProviderStrategy has no weight for the tasks beyond its base")
    if rest:
        # Where the rest does not divide, ECS fills what is furthest below its weight; the dearer one is taken here.
        spot = rest * weights.get(True, 0) // sum(weights.values())
        shares[True] += spot
        shares[False] += rest - spot
    return shares


def machines(group: Resource, resources: Resources) -> Iterator[Charge | Gap]:
    """Yield the machines of an Auto Scaling group, their disks, and their monitoring by the minute."""
    count = group.number("DesiredCapacity", group.number("MinSize"))
    chosen = group.properties.get("LaunchTemplate", {}).get("LaunchTemplateId")
    data = resources.referred(group, chosen).properties.get("LaunchTemplateData", {})
    machine = data.get("InstanceType")
    if not isinstance(machine, str):
        raise UnreadableError("InstanceType is not plain")
    yield Charge("nats", f"machines {machine}", count, "machine", hourly(f"ec2.{machine}"))
    for mapping in data.get("BlockDeviceMappings", []):
        yield from disk("root disks", mapping.get("Ebs", {}), count)
    if data.get("Monitoring", {}).get("Enabled"):
        yield Charge("monitoring", "metrics of machines, 7 each", 7 * count, "metric", monthly("metric.detailed"))


def volume(resource: Resource, resources: Resources) -> Iterator[Charge | Gap]:
    """Yield a disk."""
    del resources
    p = resource.properties
    yield from disk("data disks", {"VolumeSize": p.get("Size"), **p}, 1)


def disk(what: str, ebs: Mapping[str, object], count: float) -> Iterator[Charge | Gap]:
    """Yield disks of one kind, and what they do beyond what each gp3 disk does."""
    kind = ebs.get("VolumeType")
    if kind != "gp3":
        yield Gap("AWS::EC2::Volume", f"no price for disks of type {kind}")
        return
    size = number("VolumeSize", ebs.get("VolumeSize"))
    yield Charge("nats", f"{what} gp3", size * count, "GB", monthly("ebs.gp3.gb"))
    extra = {
        "iops": number("Iops", ebs.get("Iops", _INCLUDED_IOPS)) - _INCLUDED_IOPS,
        "throughput": number("Throughput", ebs.get("Throughput", _INCLUDED_THROUGHPUT)) - _INCLUDED_THROUGHPUT,
    }
    for name, amount in extra.items():
        if amount > 0:
            yield Charge(
                "nats", f"{what} gp3, {name} beyond the included", amount * count, name, monthly(f"ebs.gp3.{name}")
            )


def cache(group: Resource, resources: Resources) -> Iterator[Charge]:
    """Yield the nodes of a replication group."""
    del resources
    shards = group.number("NumNodeGroups", 1)
    nodes = shards * (1 + group.number("ReplicasPerNodeGroup", 0))
    kind, engine = group.text("CacheNodeType"), group.text("Engine").lower()
    yield Charge(
        "cache", f"nodes {kind}, {engine}", nodes, "node", hourly(f"cache.{engine}.{kind.removeprefix('cache.')}")
    )
