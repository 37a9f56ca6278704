"""What lies between: endpoints, NAT gateways, public addresses, the load balancer, names."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.cost.charge import Charge, Gap, hourly, monthly
from fleet.cost.resources import Resource, Resources, UnreadableError

_INTERNET_FACING = "internet-facing"


def endpoint(resource: Resource, resources: Resources) -> Iterator[Charge]:
    """Yield an endpoint: one of type Interface is paid for in each zone, a gateway is free."""
    del resources
    kind = resource.text("VpcEndpointType", "Gateway")
    if kind == "Interface":
        yield Charge(
            "network",
            "interface endpoints, one a zone",
            _zones(resource, "SubnetIds"),
            "endpoint",
            hourly("endpoint.hour"),
        )
    elif kind != "Gateway":
        raise UnreadableError(f"VpcEndpointType is {kind}")


def nat_gateway(resource: Resource, resources: Resources) -> Iterator[Charge]:
    """Yield a NAT gateway; its address is a resource of its own."""
    del resource, resources
    yield Charge("network", "NAT gateways", 1, "gateway", hourly("nat.hour"))


def address(resource: Resource, resources: Resources) -> Iterator[Charge]:
    """Yield a public address."""
    del resource, resources
    yield Charge("network", "public IPv4 addresses", 1, "address", hourly("ipv4.hour"))


def load_balancer(resource: Resource, resources: Resources) -> Iterator[Charge | Gap]:
    """Yield a load balancer, and the public address that it has in each zone where it faces the internet."""
    del resources
    kind = resource.text("Type", "application")
    if kind != "application":
        yield Gap(resource.type, f"no price for load balancers of type {kind}")
        return
    yield Charge("network", "application load balancers", 1, "balancer", hourly("alb.hour"), service=resource.service)
    if is_internet_facing(resource):
        zones = _zones(resource, "Subnets")
        yield Charge(
            "network", "public IPv4 addresses", zones, "address", hourly("ipv4.hour"), service=resource.service
        )


def is_internet_facing(balancer: Resource) -> bool:
    """Tell whether the internet reaches a load balancer; AWS's default is that it does."""
    return balancer.text("Scheme", _INTERNET_FACING) == _INTERNET_FACING


def hosted_zone(resource: Resource, resources: Resources) -> Iterator[Charge]:
    """Yield a zone of names."""
    del resource, resources
    yield Charge("network", "hosted zones", 1, "zone", monthly("dns.zone"))


def _zones(resource: Resource, name: str) -> int:
    subnets = resource.properties.get(name)
    if not isinstance(subnets, list) or not subnets:
        raise UnreadableError(f"{name} is no list of subnets")
    return len(subnets)
