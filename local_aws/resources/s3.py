"""S3: buckets with all that hangs on them, and their policies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from local_aws.resources.calls import Properties, Task, call
from local_aws.resources.s3_rules import lifecycle, notifications
from local_aws.resources.table import Name, Put, Row
from local_aws.resources.tagging import as_map


class BucketTags:
    """S3 knows only the whole set of a bucket's tags."""

    property = "Tags"

    def apply(self, task: Task) -> Mapping[str, str]:
        """Put the whole set, or none."""
        wanted = {**task.context.tags, **as_map(task.new.get("Tags", ()))}
        if wanted and wanted != dict(task.made.tags):
            tags = [{"Key": key, "Value": value} for key, value in wanted.items()]
            task.client.put_bucket_tagging(Bucket=task.id, Tagging={"TagSet": tags})
        elif task.made.tags and not wanted:
            task.client.delete_bucket_tagging(Bucket=task.id)
        return wanted


def _bucket_properties(properties: Properties) -> Properties:
    """Bring the rules that CloudFormation words otherwise into S3's words."""
    result: dict[str, Any] = dict(properties)
    if "AccessControl" in result:  # LogDeliveryWrite is log-delivery-write
        result["ACL"] = re.sub(r"(?<!^)(?=[A-Z])", "-", result.pop("AccessControl")).lower()
    if "LifecycleConfiguration" in result:
        result["LifecycleConfiguration"] = lifecycle(result["LifecycleConfiguration"])
    if "NotificationConfiguration" in result:
        result["NotificationConfiguration"] = notifications(result["NotificationConfiguration"])
    return result


_ENCRYPTION = call(
    "put_bucket_encryption",
    Bucket="id",
    ServerSideEncryptionConfiguration="{Rules: BucketEncryption.ServerSideEncryptionConfiguration}",
)
_LOGGING = call(
    "put_bucket_logging",
    Bucket="id",
    BucketLoggingStatus="""{LoggingEnabled: {
        TargetBucket: LoggingConfiguration.DestinationBucketName || id,
        TargetPrefix: LoggingConfiguration.LogFilePrefix || '',
        TargetObjectKeyFormat: LoggingConfiguration.TargetObjectKeyFormat}}""",
)
_WEBSITE = call(
    "put_bucket_website",
    Bucket="id",
    WebsiteConfiguration="""{
        IndexDocument: WebsiteConfiguration.IndexDocument && {Suffix: WebsiteConfiguration.IndexDocument},
        ErrorDocument: WebsiteConfiguration.ErrorDocument && {Key: WebsiteConfiguration.ErrorDocument},
        RedirectAllRequestsTo: WebsiteConfiguration.RedirectAllRequestsTo,
        RoutingRules: WebsiteConfiguration.RoutingRules}""",
)

ROWS = (
    Row(
        type_name="AWS::S3::Bucket",
        service="s3",
        name=Name("BucketName", 63, lower=True),
        translate=_bucket_properties,
        make=call(
            "create_bucket",
            Bucket="BucketName",
            CreateBucketConfiguration="(region != 'us-east-1' && {LocationConstraint: region}) || `null`",
            ObjectLockEnabledForBucket="ObjectLockEnabled",
        ),
        id="BucketName",
        absent=(call("head_bucket", Bucket="BucketName"), "'there'"),
        attributes={
            "Arn": "join('', ['arn:aws:s3:::', id])",
            "DomainName": "join('', [id, '.s3.amazonaws.com'])",
            "DualStackDomainName": "join('', [id, '.s3.dualstack.', region, '.amazonaws.com'])",
            "RegionalDomainName": "join('', [id, '.s3.', region, '.amazonaws.com'])",
            "WebsiteURL": "join('', ['http://', id, '.s3-website-', region, '.amazonaws.com'])",
        },
        steps=(
            Put(
                call("put_bucket_ownership_controls", Bucket="id", OwnershipControls="OwnershipControls"),
                unset=call("delete_bucket_ownership_controls", Bucket="id"),
            ),
            Put(
                call("put_bucket_versioning", Bucket="id", VersioningConfiguration="VersioningConfiguration"),
                unset=call("put_bucket_versioning", Bucket="id", VersioningConfiguration="{Status: 'Suspended'}"),
            ),
            Put(_ENCRYPTION, unset=call("delete_bucket_encryption", Bucket="id")),
            Put(
                call(
                    "put_public_access_block",
                    Bucket="id",
                    PublicAccessBlockConfiguration="PublicAccessBlockConfiguration",
                ),
                unset=call("delete_public_access_block", Bucket="id"),
            ),
            Put(
                call(
                    "put_bucket_lifecycle_configuration", Bucket="id", LifecycleConfiguration="LifecycleConfiguration"
                ),
                unset=call("delete_bucket_lifecycle", Bucket="id"),
            ),
            Put(_LOGGING, unset=call("put_bucket_logging", Bucket="id", BucketLoggingStatus="`{}`")),
            Put(
                call("put_bucket_cors", Bucket="id", CORSConfiguration="CorsConfiguration"),
                unset=call("delete_bucket_cors", Bucket="id"),
            ),
            Put(_WEBSITE, unset=call("delete_bucket_website", Bucket="id")),
            Put(call("put_object_lock_configuration", Bucket="id", ObjectLockConfiguration="ObjectLockConfiguration")),
            Put(
                call(
                    "put_bucket_accelerate_configuration",
                    Bucket="id",
                    AccelerateConfiguration="{Status: AccelerateConfiguration.AccelerationStatus}",
                ),
                unset=call(
                    "put_bucket_accelerate_configuration", Bucket="id", AccelerateConfiguration="{Status: 'Suspended'}"
                ),
            ),
            Put(
                call(
                    "put_bucket_notification_configuration",
                    Bucket="id",
                    NotificationConfiguration="NotificationConfiguration",
                ),
                unset=call("put_bucket_notification_configuration", Bucket="id", NotificationConfiguration="`{}`"),
            ),
        ),
        tags=BucketTags(),
        remove=call("delete_bucket", Bucket="id"),
        renames={
            "ServerSideEncryptionConfiguration.Rules.ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault",
            "CORSConfiguration.CorsRules.ExposedHeaders": "ExposeHeaders",
            "CORSConfiguration.CorsRules.MaxAge": "MaxAgeSeconds",
            "WebsiteConfiguration.RoutingRules.RedirectRule": "Redirect",
            "WebsiteConfiguration.RoutingRules.RoutingRuleCondition": "Condition",
        },
    ),
    Row(
        type_name="AWS::S3::BucketPolicy",
        service="s3",
        make=call("put_bucket_policy", Policy="PolicyDocument"),
        id="Bucket",
        whole=True,
        remove=call("delete_bucket_policy", Bucket="id"),
    ),
)
