"""What moto 5.2.5 does otherwise than AWS, or not at all, mended in place.

Each module says what it mends and why the local AWS cannot do without it. State that is added to moto's back ends lies in their
own dictionaries, as plain objects, so that it is saved and reset together with theirs.
"""

from __future__ import annotations

from local_aws.resources.moto_repairs import (
    account,
    acm,
    application_autoscaling,
    awslambda,
    cloudwatch,
    ec2,
    ec2_instances,
    ec2_rules,
    ecs,
    ecs_tasks,
    elasticache_groups,
    elasticache_parameters,
    elasticache_plane,
    elasticache_users,
    iam,
    logs,
    routing,
    s3,
    secretsmanager,
    sns,
    ssm,
    ssm_associations,
    ssm_automation,
)

_MODULES = (
    account,
    acm,
    application_autoscaling,
    awslambda,
    cloudwatch,
    ec2,
    ec2_instances,
    ec2_rules,
    ecs,
    ecs_tasks,
    elasticache_groups,
    elasticache_parameters,
    elasticache_plane,
    elasticache_users,
    iam,
    logs,
    routing,
    s3,
    secretsmanager,
    sns,
    ssm,
    ssm_associations,
    ssm_automation,
)
_applied: list[bool] = []


def apply() -> None:
    """Mend moto for the whole process; once is enough, and more does no harm."""
    if not _applied:
        _applied.append(True)
        for module in _MODULES:
            module.apply()
