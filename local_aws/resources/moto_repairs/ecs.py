"""ECS: services keep what they are given, run what runs, and are gone when they are deleted.

moto 5.2.5

- drops at CreateService the deployment configuration, the grace period, capacity providers and more, while UpdateService keeps them;
- drops fault injection from task definitions;
- sets the running count to the desired count at every UpdateService, although nothing runs;
- leaves the primary deployment as it was at creation (`ecs_deployments`);
- lists services and clusters for ever after they were deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore import xform_name
from moto.core.responses import ActionResult
from moto.ecs.models import EC2ContainerServiceBackend, Service
from moto.ecs.responses import EC2ContainerServiceResponse

from local_aws.resources.moto_repairs.ecs_deployments import begin, bring_up_to_date, is_another_version, present
from local_aws.resources.moto_repairs.patching import around

_DROPPED_FROM_SERVICES = {
    "availabilityZoneRebalancing": "DISABLED",
    "capacityProviderStrategy": [],
    "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100},
    "enableECSManagedTags": False,
    "enableExecuteCommand": False,
    "healthCheckGracePeriodSeconds": None,
    "placementConstraints": [],
    "placementStrategy": [],
}


def _keep_all(response: EC2ContainerServiceResponse, service: Service) -> None:
    parameters = response._get_params()  # noqa: SLF001 - moto's own way to all parameters
    for name, usual in _DROPPED_FROM_SERVICES.items():
        setattr(service, xform_name(name), parameters.get(name, usual))
    if parameters.get("capacityProviderStrategy"):
        service.launch_type = None
        for deployment in service.deployments:
            deployment["launchType"] = None
    bring_up_to_date(service, parameters)


def apply() -> None:
    """Mend creation, update and listing of services, and the registration of task definitions."""

    @around(EC2ContainerServiceResponse, "create_service")
    def create_service(original: Callable[..., ActionResult], response: EC2ContainerServiceResponse) -> ActionResult:
        result = original(response)
        _keep_all(response, result.result["service"])  # type: ignore[index]
        return result

    @around(EC2ContainerServiceResponse, "update_service")
    def update_service(original: Callable[..., ActionResult], response: EC2ContainerServiceResponse) -> ActionResult:
        parameters = response._get_params()  # noqa: SLF001
        there, _ = response.ecs_backend.describe_services(parameters.get("cluster", "default"), [parameters["service"]])
        before = [dict(deployment) for service in there for deployment in service.deployments[:1]]
        result = original(response)
        service: Service = result.result["service"]  # type: ignore[index]
        if parameters.get("capacityProviderStrategy"):
            service.launch_type = None
        if service.task_definition:
            # moto keeps what was given, which may be a family and a revision.
            service.task_definition = response.ecs_backend.describe_task_definition(service.task_definition).arn
        for deployment in before:
            if is_another_version(deployment, service, parameters):
                begin(service, deployment, parameters)
        bring_up_to_date(service, parameters)
        return result

    @around(EC2ContainerServiceResponse, "register_task_definition")
    def register_task_definition(
        original: Callable[..., ActionResult], response: EC2ContainerServiceResponse
    ) -> ActionResult:
        result = original(response)
        definition = result.result["taskDefinition"]  # type: ignore[index]
        definition.enable_fault_injection = response._get_param("enableFaultInjection", if_none=False)  # noqa: SLF001
        return result

    _mend_backend()
    _mend_descriptions()


def _mend_descriptions() -> None:
    """Let descriptions tell what runs."""

    @around(EC2ContainerServiceResponse, "describe_services")
    def describe_services(original: Callable[..., ActionResult], response: EC2ContainerServiceResponse) -> ActionResult:
        result = original(response)
        for service in result.result["services"]:  # type: ignore[index]
            present(service)
        return result

    @around(EC2ContainerServiceResponse, "describe_clusters")
    def describe_clusters(original: Callable[..., ActionResult], response: EC2ContainerServiceResponse) -> ActionResult:
        result = original(response)
        for cluster in result.result["clusters"]:  # type: ignore[index]
            services = [
                service for service in response.ecs_backend.services.values() if service.cluster_name == cluster.name
            ]
            for service in services:
                present(service)
            cluster.running_tasks_count = sum(service.running_count for service in services)
            cluster.pending_tasks_count = sum(service.pending_count for service in services)
        return result


def _mend_backend() -> None:
    """Let updates leave the counts alone, and lists leave out what is gone."""

    @around(EC2ContainerServiceBackend, "update_service")
    def keep_running_count(
        original: Callable[..., Service], backend: EC2ContainerServiceBackend, properties: dict[str, Any]
    ) -> Service:
        cluster = backend._get_cluster(properties.get("cluster", "default"))  # noqa: SLF001
        before = cluster.running_tasks_count, cluster.pending_tasks_count
        there, _ = backend.describe_services(cluster.name, [properties["service"]])
        counts = (there[0].running_count, there[0].pending_count) if there else (0, 0)
        service = original(backend, properties)
        service.running_count = counts[0]
        service.pending_count = max(service.desired_count - service.running_count, 0)
        cluster.running_tasks_count = before[0]
        cluster.pending_tasks_count = before[1] - counts[1] + service.pending_count
        return service

    @around(EC2ContainerServiceBackend, "list_services")
    def list_services(
        original: Callable[..., list[str]], backend: EC2ContainerServiceBackend, *arguments: Any, **named: Any
    ) -> list[str]:
        inactive = {service.arn for service in backend.services.values() if service.status == "INACTIVE"}
        return [arn for arn in original(backend, *arguments, **named) if arn not in inactive]

    @around(EC2ContainerServiceBackend, "list_clusters")
    def list_clusters(original: Callable[..., list[str]], backend: EC2ContainerServiceBackend) -> list[str]:
        inactive = {cluster.arn for cluster in backend.clusters.values() if cluster.status == "INACTIVE"}
        return [arn for arn in original(backend) if arn not in inactive]
