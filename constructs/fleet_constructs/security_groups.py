"""All security groups of an environment and the rules between them.

They stand in one stack: a rule between groups of two stacks makes a cycle, and a group has room for 60 rules only. So a service
attaches the groups that it needs and creates none.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from catalog import names

HTTPS_PORT = 443


class SecurityGroups(Construct):
    """Who may talk to whom: nothing that is not said here."""

    def __init__(
        self, scope: Construct, construct_id: str, *, vpc: ec2.IVpc, load_balancer_cidrs: Sequence[str]
    ) -> None:
        super().__init__(scope, construct_id)
        self._vpc = vpc
        self.nats_node = self._group("NatsNode", "NATS nodes")
        self.nats_client = self._group("NatsClient", "Whatever talks to NATS: every service")
        self.cache = self._group("Cache", "Cache nodes")
        self.cache_client = self._group("CacheClient", "Services that use the cache")
        self.gateway = self._group("Gateway", "HTTP gateway")
        self.load_balancer = self._group("LoadBalancer", "Load balancer of the gateway")
        self.endpoints = self._group("Endpoints", "Interface endpoints of AWS services")

        self._allow(self.nats_client, self.nats_node, names.NATS_CLIENT_PORT, "NATS clients")
        self._allow(self.nats_node, self.nats_node, names.NATS_ROUTE_PORT, "NATS routes")
        self._allow(self.cache_client, self.cache, names.CACHE_PORT, "Cache clients")
        self._allow(self.load_balancer, self.gateway, names.GATEWAY_PORT, "HTTP requests")
        self._allow(self.load_balancer, self.gateway, names.HEALTH_PORT, "Health checks")
        for cidr in load_balancer_cidrs:
            self.load_balancer.add_ingress_rule(ec2.Peer.ipv4(cidr), ec2.Port.tcp(HTTPS_PORT), "HTTPS from callers")
        for group in (self.nats_client, self.nats_node):
            self.endpoints.add_ingress_rule(group, ec2.Port.tcp(HTTPS_PORT), "AWS services")
            # S3 is reached by public addresses through its gateway endpoint; where there is no NAT gateway, the route table
            # leads nowhere else.
            group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS_PORT), "AWS services")

    def _group(self, construct_id: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(self, construct_id, vpc=self._vpc, description=description, allow_all_outbound=False)

    @staticmethod
    def _allow(source: ec2.SecurityGroup, target: ec2.SecurityGroup, port: int, description: str) -> None:
        source.add_egress_rule(target, ec2.Port.tcp(port), description)
        target.add_ingress_rule(source, ec2.Port.tcp(port), description)
