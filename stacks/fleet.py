"""The whole fleet of one environment, stack by stack."""

from __future__ import annotations

import aws_cdk as cdk

from catalog.catalog import Catalog
from catalog.environment import Environment
from fleet_constructs.arns import task_principal
from fleet_constructs.retention import Retention
from fleet_constructs.service_task import Platform
from stacks.cache_stack import CacheStack
from stacks.certificates_stack import CertificatesStack
from stacks.images_stack import ImagesStack
from stacks.monitoring_stack import MonitoringStack
from stacks.nats_stack import NatsStack
from stacks.network_stack import NetworkStack
from stacks.services_stack import ServicesStack


def build_fleet(app: cdk.App, *, catalog: Catalog, environment: Environment, destroy_data: bool) -> None:
    """Add every stack of an environment to the app.

    Args:
        app: the CDK app.
        catalog: the services.
        environment: the environment that they run in.
        destroy_data: whether the context agrees that data goes with its resource; the environment must say so too.
    """
    retention = Retention(destroy=environment.destroy_data and destroy_data)
    images = ImagesStack(app, catalog=catalog, environment=environment, retention=retention)
    if environment.destroy_data and not destroy_data:
        cdk.Annotations.of(images).add_warning_v2(
            "fleet:data-is-retained",
            f"environments/{environment.name}.yaml says destroy_data, but data is retained: "
            f"the context key destroy-data does not name {environment.name} (give -c destroy-data={environment.name})",
        )
    network_stack = NetworkStack(app, environment=environment, retention=retention)
    network = network_stack.network
    monitoring = MonitoringStack(app, catalog=catalog, environment=environment, retention=retention)
    certificates = CertificatesStack(
        app,
        catalog=catalog,
        environment=environment,
        network=network,
        topic_arn=monitoring.alerts.topic.topic_arn,
        retention=retention,
    )
    nats = NatsStack(
        app,
        catalog=catalog,
        environment=environment,
        network=network,
        topic_arn=monitoring.alerts.topic.topic_arn,
        log_group=monitoring.log_group,
        retention=retention,
    )
    cache = CacheStack(
        app,
        catalog=catalog,
        environment=environment,
        network=network,
        topic_arn=monitoring.alerts.topic.topic_arn,
        retention=retention,
    )
    nats.add_stack_dependency(certificates)  # before the first node starts
    platform = Platform(
        catalog=catalog,
        environment=environment,
        network=network,
        cluster=network_stack.cluster,
        cluster_name=network_stack.cluster.cluster_name,
        log_group=monitoring.log_group,
        topic_arn=monitoring.alerts.topic.topic_arn,
        cache_endpoint=cache.endpoint,
        task_principal=task_principal(environment),
        retention=retention,
    )
    for group, number in catalog.services_stacks:
        services = ServicesStack(app, group=group, number=number, platform=platform)
        for needed in (images, certificates, nats, cache):
            services.add_stack_dependency(needed)
