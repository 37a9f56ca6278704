"""Every type of resource: what counts it, or why it costs nothing, or that its cost is not known. Nothing is left out in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from fleet.cost import compute, monitoring, network
from fleet.cost.charge import Charge, Gap, Part, monthly
from fleet.cost.resources import Resource, Resources, UnreadableError

Counter = Callable[[Resource, Resources], Iterable[Charge | Gap]]


def _each(part: Part, what: str, unit: str, key: str) -> Counter:
    """Return what counts resources of which each costs the same a month."""

    def count(resource: Resource, resources: Resources) -> Iterator[Charge]:
        del resources
        yield Charge(part, what, 1, unit, monthly(key), service=resource.service)

    return count


COUNTED: Mapping[str, Counter] = {
    "AWS::ApplicationAutoScaling::ScalingPolicy": monitoring.scaling_policy,
    "AWS::AutoScaling::AutoScalingGroup": compute.machines,
    "AWS::CloudWatch::Alarm": monitoring.alarm,
    "AWS::CloudWatch::Dashboard": monitoring.dashboard,
    "AWS::EC2::EIP": network.address,
    "AWS::EC2::NatGateway": network.nat_gateway,
    "AWS::EC2::VPCEndpoint": network.endpoint,
    "AWS::EC2::Volume": compute.volume,
    "AWS::ECS::Cluster": monitoring.cluster,
    "AWS::ECS::Service": compute.ecs_service,
    "AWS::ElastiCache::ReplicationGroup": compute.cache,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": network.load_balancer,
    "AWS::KMS::Key": _each("secrets", "keys", "key", "key"),
    "AWS::Route53::HostedZone": network.hosted_zone,
    "AWS::SecretsManager::Secret": _each("secrets", "secrets", "secret", "secret"),
}
"""What counts a resource of a type."""

BY_USE: Mapping[str, str] = {
    "AWS::ECR::Repository": "image_gb",
    "AWS::Lambda::Function": "function_gb_seconds",
    "AWS::Logs::LogGroup": "log_gb",
    "AWS::S3::Bucket": "bucket_gb",
}
"""Types that cost nothing until they are used, with the assumption that counts them."""

FREE: Mapping[str, str] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": "the tasks that it adds are paid for, not it",
    "AWS::EC2::InternetGateway": "only traffic is paid for",
    "AWS::EC2::LaunchTemplate": "counted with the machines that are made of it",
    "AWS::EC2::NetworkInterface": "a private address costs nothing",
    "AWS::EC2::Route": "part of the VPC",
    "AWS::EC2::RouteTable": "part of the VPC",
    "AWS::EC2::SecurityGroup": "part of the VPC",
    "AWS::EC2::SecurityGroupEgress": "part of the VPC",
    "AWS::EC2::SecurityGroupIngress": "part of the VPC",
    "AWS::EC2::Subnet": "part of the VPC",
    "AWS::EC2::SubnetRouteTableAssociation": "part of the VPC",
    "AWS::EC2::VPC": "what stands in it is paid for",
    "AWS::EC2::VPCGatewayAttachment": "part of the VPC",
    "AWS::ECS::ClusterCapacityProviderAssociations": "a setting of the cluster",
    "AWS::ECS::TaskDefinition": "counted with the service that runs it; nobody pays for one that does not run",
    "AWS::ElastiCache::ParameterGroup": "settings of the cache",
    "AWS::ElastiCache::SubnetGroup": "settings of the cache",
    "AWS::ElastiCache::UserGroup": "settings of the cache",
    "AWS::ElasticLoadBalancingV2::Listener": "counted with the load balancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup": "counted with the load balancer",
    "AWS::Events::Rule": "schedules and events of AWS itself cost nothing on the default bus",
    "AWS::IAM::InstanceProfile": "IAM costs nothing",
    "AWS::IAM::Role": "IAM costs nothing",
    "AWS::KMS::Alias": "counted with the key",
    "AWS::Lambda::Permission": "IAM costs nothing",
    "AWS::Route53::RecordSet": "counted with the zone",
    "AWS::S3::BucketPolicy": "IAM costs nothing",
    "AWS::SNS::Subscription": "messages are paid for, not who hears them",
    "AWS::SNS::TopicPolicy": "IAM costs nothing",
    "AWS::SSM::Document": "own documents cost nothing on machines in AWS",
    "AWS::SecretsManager::RotationSchedule": "counted with the secret; the function's time is counted with the functions",
    "Custom::CacheUser": "a call of our own function",
    "Custom::Certificates": "a call of our own function",
    "Custom::NatsConfiguration": "a call of our own function",
    "Custom::NatsRoll": "a call of our own function",
}
"""Types that cost nothing, and why."""

LEFT_OUT: Mapping[str, str] = {
    "AWS::EC2::FlowLog": "records of traffic: AWS takes money by the GB that it delivers; the price book has no price for it",
    "AWS::SNS::Topic": "messages: cents for e-mail and HTTPS; an SMS costs by country",
}
"""Types whose cost follows from use and is left out, and why."""

NEVER_COUNTED = (
    "tax, support plans, discounts of any kind (savings plans, reservations, free tiers)",
    "requests to KMS, S3, Secrets Manager and the CloudWatch API; searches in logs",
    "traffic between tasks, cache and endpoints across zones, and to other regions",
    "the credits that t4g machines buy when they work above their baseline",
    "older material of keys that AWS rotates each year",
    "stopped and starting tasks, and both versions of a service while a deployment replaces one by the other",
)
"""What no resource stands for, and is in no line."""


def base_charges(resources: Resources) -> Iterator[Charge | Gap]:
    """Yield what is paid though nobody uses anything, and what could not be counted."""
    for resource in resources:
        if count := COUNTED.get(resource.type):
            try:
                yield from count(resource, resources)
            except UnreadableError as error:
                yield Gap(resource.type, f"{resource.logical_id}: {error}")
        elif not any(resource.type in known for known in (BY_USE, FREE, LEFT_OUT)):
            yield Gap(resource.type, "no price for this type")
    yield from monitoring.own_metrics(resources)
