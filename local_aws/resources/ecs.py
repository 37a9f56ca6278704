"""ECS: clusters, task definitions and services."""

from __future__ import annotations

from local_aws.resources.calls import Properties, Task, call
from local_aws.resources.table import KEEP, Name, Put, Row
from local_aws.resources.tagging import Tagging


def _tagging(arn: str) -> Tagging:
    return Tagging(call("tag_resource", resourceArn=arn), "tags", call("untag_resource", resourceArn=arn), "tagKeys")


def _service_properties(properties: Properties) -> Properties:
    """Only the flag of a forced deployment goes to ECS; its nonce is there to make the template differ."""
    forced = properties.get("ForceNewDeployment")
    return {**properties, "ForceNewDeployment": forced.get("EnableForceNewDeployment", False)} if forced else properties


def _wait_until_inactive(task: Task) -> None:
    """A service is gone when ECS has drained it; force takes it down whatever its desired count."""
    task.perform(call("delete_service", cluster="Cluster", service="id", force="`true`"))
    waiter = task.client.get_waiter("services_inactive")
    waiter.wait(
        cluster=task.new.get("Cluster", "default"), services=[task.id], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


_CAPACITY = {
    "capacityProviders": "CapacityProviders || `[]`",
    "defaultCapacityProviderStrategy": "DefaultCapacityProviderStrategy || `[]`",
}

ROWS = (
    Row(
        type_name="AWS::ECS::Cluster",
        service="ecs",
        name=Name("ClusterName"),
        make=call("create_cluster", settings="ClusterSettings"),
        id="cluster.clusterName",
        absent=(call("describe_clusters", clusters="[ClusterName]"), "clusters[?status == 'ACTIVE']"),
        reads=((call("describe_clusters", clusters="[id]"), "clusters[0]"),),
        attributes={"Arn": "clusterArn"},
        change=call("update_cluster", cluster="id", settings="ClusterSettings"),
        changes=(Put(call("put_cluster_capacity_providers", cluster="id", **_CAPACITY)),),
        tags=_tagging("Arn"),
        remove=call("delete_cluster", cluster="id"),
    ),
    Row(
        type_name="AWS::ECS::ClusterCapacityProviderAssociations",
        service="ecs",
        make=call("put_cluster_capacity_providers", cluster="Cluster", **_CAPACITY),
        id="Cluster",
        whole=True,
        remove=call(
            "put_cluster_capacity_providers",
            cluster="id",
            capacityProviders="`[]`",
            defaultCapacityProviderStrategy="`[]`",
        ),
    ),
    Row(
        type_name="AWS::ECS::TaskDefinition",
        service="ecs",
        name=Name("Family"),
        make=call("register_task_definition"),
        id="taskDefinition.taskDefinitionArn",
        attributes={"TaskDefinitionArn": "id"},
        tags=_tagging("id"),
        remove=call("deregister_task_definition", taskDefinition="id"),
    ),
    Row(
        type_name="AWS::ECS::Service",
        service="ecs",
        name=Name("ServiceName"),
        translate=_service_properties,
        make=call("create_service", desiredCount="DesiredCount || `1`", placementStrategy="PlacementStrategies"),
        id="service.serviceArn",
        absent=(
            call("describe_services", cluster="Cluster", services="[ServiceName]"),
            "services[?status == 'ACTIVE']",
        ),
        attributes={"ServiceArn": "id", "Name": "service.serviceName || Name"},
        change=call("update_service", cluster="Cluster", service="id", placementStrategy="PlacementStrategies"),
        only_changes=("ForceNewDeployment",),
        defaults={
            "DesiredCount": KEEP,  # from then on autoscaling's
            "LaunchType": KEEP,  # goes when a capacity provider strategy takes its place
            "ForceNewDeployment": KEEP,
            "AvailabilityZoneRebalancing": "DISABLED",
            "CapacityProviderStrategy": [],
            "DeploymentConfiguration": {"MaximumPercent": 200, "MinimumHealthyPercent": 100},
            "EnableECSManagedTags": False,
            "EnableExecuteCommand": False,
            "HealthCheckGracePeriodSeconds": 0,
            "LoadBalancers": [],
            "PlacementConstraints": [],
            "PlacementStrategies": [],
            "PlatformVersion": "LATEST",
            "PropagateTags": "NONE",
            "ServiceRegistries": [],
            "VolumeConfigurations": [],
        },
        tags=_tagging("id"),
        before_remove=_wait_until_inactive,
    ),
)
