"""ECR: image repositories."""

from __future__ import annotations

from local_aws.resources.calls import call
from local_aws.resources.table import Name, Put, Row
from local_aws.resources.tagging import Tagging

ROWS = (
    Row(
        type_name="AWS::ECR::Repository",
        service="ecr",
        name=Name("RepositoryName", 256, lower=True),
        make=call("create_repository"),
        id="repository.repositoryName",
        reads=((call("describe_repositories", repositoryNames="[id]"), "repositories[0]"),),
        attributes={"Arn": "repositoryArn", "RepositoryUri": "repositoryUri"},
        ignored=("EmptyOnDelete",),
        steps=(
            Put(
                call(
                    "put_lifecycle_policy",
                    repositoryName="id",
                    lifecyclePolicyText="LifecyclePolicy.LifecyclePolicyText",
                ),
                unset=call("delete_lifecycle_policy", repositoryName="id"),
            ),
            Put(
                call("set_repository_policy", repositoryName="id", policyText="RepositoryPolicyText"),
                unset=call("delete_repository_policy", repositoryName="id"),
            ),
        ),
        changes=(
            Put(
                call(
                    "put_image_tag_mutability",
                    repositoryName="id",
                    imageTagMutability="ImageTagMutability",
                    imageTagMutabilityExclusionFilters="ImageTagMutabilityExclusionFilters",
                ),
                unset=call("put_image_tag_mutability", repositoryName="id", imageTagMutability="'MUTABLE'"),
            ),
            Put(
                call(
                    "put_image_scanning_configuration",
                    repositoryName="id",
                    imageScanningConfiguration="ImageScanningConfiguration",
                ),
                unset=call(
                    "put_image_scanning_configuration",
                    repositoryName="id",
                    imageScanningConfiguration='`{"scanOnPush": false}`',
                ),
            ),
        ),
        tags=Tagging(
            call("tag_resource", resourceArn="Arn"), "tags", call("untag_resource", resourceArn="Arn"), "tagKeys"
        ),
        remove=call("delete_repository", repositoryName="id", force="EmptyOnDelete || `false`"),
    ),
)
