"""What follows from use: each charge stands on a key of `cost.usage`, and is there only where something deployed can be used so."""

from __future__ import annotations

from collections.abc import Iterator

from catalog.cost import Usage
from fleet.cost.charge import HOURS_A_MONTH, Charge, Part, hourly, monthly
from fleet.cost.network import is_internet_facing
from fleet.cost.resources import Resources

_DAYS_A_MONTH = HOURS_A_MONTH / 24
_FOREVER_DAYS = 3653


def usage_charges(resources: Resources, usage: Usage) -> Iterator[Charge]:
    """Yield all that is paid for by use."""
    yield from _logs(resources, usage)
    yield from _traffic(resources, usage)
    yield from _kept(resources, usage)
    if functions := resources.of("AWS::Lambda::Function"):
        # With functions of both kinds, all count as the dearer one.
        arm = all(function.properties.get("Architectures") == ["arm64"] for function in functions)
        terms = monthly(f"function.{'arm64' if arm else 'x86_64'}")
        yield _used("storage", "functions", usage, "function_gb_seconds", "GB-s", terms)


def crossings(zones: list[str]) -> float:
    """Return how often a message crosses zones on its way through a stream of three copies, on average.

    From the service to the node that leads, from there to the others, and from the one that leads to who hears it; services are
    spread over the zones evenly.
    """
    if not zones:
        return 0.0
    away = 1 - 1 / len(set(zones))
    pairs = [(a, b) for i, a in enumerate(zones) for j, b in enumerate(zones) if i != j]
    apart = sum(a != b for a, b in pairs) / len(pairs) if pairs else 0.0
    copies = min(2, len(zones) - 1)
    return 2 * away + copies * apart


def _logs(resources: Resources, usage: Usage) -> Iterator[Charge]:
    groups = resources.of("AWS::Logs::LogGroup")
    if not groups:
        return
    classes = {group.properties.get("LogGroupClass", "STANDARD") for group in groups}
    # With groups of both classes, all count as the dearer one.
    kind = "infrequent_access" if classes == {"INFREQUENT_ACCESS"} else "standard"
    yield _used("monitoring", "logs taken in", usage, "log_gb", "GB", monthly(f"logs.{kind}"))
    days = max(group.number("RetentionInDays", _FOREVER_DAYS) for group in groups)
    months = days / _DAYS_A_MONTH
    yield _used(
        "monitoring", "logs kept", usage, "log_gb", "GB", monthly("logs.kept"),
        times=months, assumption=f"logs are kept {days:g} days, uncompressed",
    )  # fmt: skip
    for cluster in resources.of("AWS::ECS::Cluster"):
        if {"Name": "containerInsights", "Value": "enabled"} in cluster.properties.get("ClusterSettings", []):
            terms = monthly("logs.standard")
            yield _used("monitoring", "logs of Container Insights", usage, "insights_log_gb", "GB", terms)


def _traffic(resources: Resources, usage: Usage) -> Iterator[Charge]:
    disks = resources.of("AWS::EC2::Volume")
    times = crossings([str(disk.properties.get("AvailabilityZone")) for disk in disks])
    if times:
        yield _used(
            "network", "messages between zones", usage, "nats_gb", "GB", monthly("transfer.zone"), times=2 * times,
            assumption=f"a message in three copies crosses zones {times:.2f} times, and is paid for on both sides",
        )  # fmt: skip
    if any(each.properties.get("VpcEndpointType") == "Interface" for each in resources.of("AWS::EC2::VPCEndpoint")):
        yield _used("network", "traffic of endpoints", usage, "aws_gb", "GB", monthly("endpoint.gb"))
    elif resources.of("AWS::EC2::NatGateway"):
        yield _used("network", "traffic of NAT gateways", usage, "aws_gb", "GB", monthly("nat.gb"))
    balancers = resources.of("AWS::ElasticLoadBalancingV2::LoadBalancer")
    if balancers:
        yield _used("network", "load balancer, by use", usage, "load_balancer_units", "LCU", hourly("alb.unit"))
    if any(is_internet_facing(balancer) for balancer in balancers):
        yield _used("network", "out to the internet", usage, "internet_gb", "GB", monthly("transfer.internet"))


def _kept(resources: Resources, usage: Usage) -> Iterator[Charge]:
    for group in resources.of("AWS::ElastiCache::ReplicationGroup"):
        paid = group.number("SnapshotRetentionLimit", 0) - 1
        if paid > 0:
            yield _used(
                "cache", "snapshots", usage, "cache_gb", "GB", monthly("cache.snapshot"),
                times=paid, assumption=f"{paid + 1:g} snapshots are kept; the newest costs nothing",
            )  # fmt: skip
    if resources.of("AWS::S3::Bucket"):
        yield _used("storage", "buckets", usage, "bucket_gb", "GB", monthly("bucket.gb"))
    if resources.of("AWS::ECR::Repository"):
        yield _used("storage", "images", usage, "image_gb", "GB", monthly("repository.gb"))


def _used(
    part: Part,
    what: str,
    usage: Usage,
    key: str,
    unit: str,
    terms: tuple[tuple[str, float], ...],
    *,
    times: float = 1,
    assumption: str = "",
) -> Charge:
    quantity = float(getattr(usage, key)) * times
    return Charge(part, what, quantity, unit, terms, usage_key=key, assumption=assumption)
