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
        nats_node = self._group("NatsNode", "NATS nodes")
        nats_client = self._group("NatsClient", "Whatever talks to NATS: every service")
        cache = self._group("Cache", "Cache nodes")
        cache_client = self._group("CacheClient", "Services that use the cache")
        gateway = self._group("Gateway", "HTTP gateway")
        load_balancer = self._group("LoadBalancer", "Load balancer of the gateway")
        endpoints = self._group("Endpoints", "Interface endpoints of AWS services")

        self._allow(nats_client, nats_node, names.NATS_CLIENT_PORT, "NATS clients")
        self._allow(nats_node, nats_node, names.NATS_ROUTE_PORT, "NATS routes")
        self._allow(cache_client, cache, names.CACHE_PORT, "Cache clients")
        self._allow(load_balancer, gateway, names.GATEWAY_PORT, "HTTP requests")
        self._allow(load_balancer, gateway, names.HEALTH_PORT, "Health checks")
        for cidr in load_balancer_cidrs:
            load_balancer.add_ingress_rule(ec2.Peer.ipv4(cidr), ec2.Port.tcp(HTTPS_PORT), "HTTPS from callers")
        for group in (nats_client, nats_node):
            endpoints.add_ingress_rule(group, ec2.Port.tcp(HTTPS_PORT), "AWS services")
            # S3 is reached by public addresses through its gateway endpoint; where there is no NAT gateway, the route table
            # leads nowhere else.
            group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS_PORT), "AWS services")

        self.nats_node = self._closed(nats_node)
        self.nats_client = self._closed(nats_client)
        self.cache = self._closed(cache)
        self.cache_client = self._closed(cache_client)
        self.gateway = self._closed(gateway)
        self.load_balancer = self._closed(load_balancer)
        self.endpoints = self._closed(endpoints)

    def _group(self, construct_id: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(self, construct_id, vpc=self._vpc, description=description, allow_all_outbound=False)

    def _closed(self, group: ec2.SecurityGroup) -> ec2.ISecurityGroup:
        """Return a group that takes no more rules: a load balancer would open every group of its targets."""
        return ec2.SecurityGroup.from_security_group_id(
            self, f"{group.node.id}Closed", group.security_group_id, mutable=False
        )

    @staticmethod
    def _allow(source: ec2.SecurityGroup, target: ec2.SecurityGroup, port: int, description: str) -> None:
        source.add_egress_rule(target, ec2.Port.tcp(port), description)
        target.add_ingress_rule(source, ec2.Port.tcp(port), description)
