"""What an environment may cost, and what use of it is assumed where no template can tell; `fleet cost` reads it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from catalog.model import Model

Amount = Annotated[float, Field(ge=0, le=1_000_000_000)]


class Usage(Model):
    """A month's use; each is an assumption, and is printed as one."""

    log_gb: Amount = 22.0
    """GB that tasks, machines and functions write to CloudWatch Logs."""
    insights_log_gb: Amount = 5.0
    """GB that Container Insights writes there of its own, where the cluster has it in its standard form."""
    nats_gb: Amount = 100.0
    """GB of messages that services publish; what of it crosses zones is paid for."""
    aws_gb: Amount = 30.0
    """GB that tasks and machines exchange with AWS by way of endpoints or NAT gateways: logs, commands, secrets, no image layers."""
    internet_gb: Amount = 10.0
    """GB that go out to the internet, where the load balancer faces it."""
    load_balancer_units: Amount = 1.0
    """Capacity units of the load balancer, on average; one carries 25 new connections a second, or 1 GB an hour."""
    cache_gb: Amount = 1.0
    """GB that lie in the cache; every snapshot but the newest is paid for."""
    image_gb: Amount = 5.0
    """GB of images in the repositories, layers counted once."""
    bucket_gb: Amount = 20.0
    """GB in the buckets: records of traffic, backups, certificates."""
    function_gb_seconds: Amount = 6000.0
    """GB-seconds of the functions; a rotation, renewal or backup takes some seconds of half a GB."""
    spot_discount_percent: Annotated[float, Field(ge=0, le=100)] = 60.0
    """How much less Fargate Spot is taken to cost; it floats, and the report shows its range too."""


class Cost(Model):
    """What the environment may cost, and how it is reckoned."""

    max_base_usd: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """The most that a month may cost before anybody uses anything, in USD; `fleet cost` fails above it. No limit where the key is missing."""
    usage: Usage = Usage()
    """What a month's use is taken to be."""
