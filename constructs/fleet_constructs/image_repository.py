"""A repository of container images."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ecr as ecr
from constructs import Construct

from fleet_constructs.retention import Retention

KEPT_IMAGES = 30
UNTAGGED_DAYS = 14


class ImageRepository(Construct):
    """A repository whose tags never move, whose images are scanned, and which does not grow for ever."""

    def __init__(self, scope: Construct, construct_id: str, *, repository_name: str, retention: Retention) -> None:
        super().__init__(scope, construct_id)
        ecr.Repository(
            self,
            "Resource",
            repository_name=repository_name,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            image_scan_on_push=True,
            empty_on_delete=retention.destroy,
            removal_policy=retention.removal_policy,
            lifecycle_rules=[
                ecr.LifecycleRule(
                    description="Images that no tag names",
                    tag_status=ecr.TagStatus.UNTAGGED,
                    max_image_age=cdk.Duration.days(UNTAGGED_DAYS),
                ),
                ecr.LifecycleRule(
                    description="All but the newest", tag_status=ecr.TagStatus.ANY, max_image_count=KEPT_IMAGES
                ),
            ],
        )
