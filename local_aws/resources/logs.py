"""CloudWatch Logs: groups, and the filters on them."""

from __future__ import annotations

from local_aws.resources.calls import call
from local_aws.resources.table import Name, Put, Row
from local_aws.resources.tagging import Tagging

_ARN = "join(':', ['arn:aws:logs', region, account, 'log-group', id])"

ROWS = (
    Row(
        type_name="AWS::Logs::LogGroup",
        service="logs",
        name=Name("LogGroupName", 512),
        make=call("create_log_group"),
        id="LogGroupName",
        attributes={"Arn": "join(':', ['arn:aws:logs', region, account, 'log-group', id, '*'])"},
        steps=(
            Put(
                call("put_retention_policy", logGroupName="id", retentionInDays="RetentionInDays"),
                unset=call("delete_retention_policy", logGroupName="id"),
            ),
        ),
        changes=(
            Put(
                call("associate_kms_key", logGroupName="id", kmsKeyId="KmsKeyId"),
                unset=call("disassociate_kms_key", logGroupName="id"),
            ),
        ),
        tags=Tagging(
            call("tag_resource", resourceArn=_ARN), "tags", call("untag_resource", resourceArn=_ARN), "tagKeys"
        ),
        remove=call("delete_log_group", logGroupName="id"),
    ),
    Row(
        type_name="AWS::Logs::MetricFilter",
        service="logs",
        name=Name("FilterName", 512),
        make=call("put_metric_filter"),
        id="FilterName",
        whole=True,
        remove=call("delete_metric_filter", logGroupName="LogGroupName", filterName="id"),
    ),
    Row(
        type_name="AWS::Logs::SubscriptionFilter",
        service="logs",
        name=Name("FilterName", 512),
        make=call("put_subscription_filter"),
        id="FilterName",
        whole=True,
        remove=call("delete_subscription_filter", logGroupName="LogGroupName", filterName="id"),
    ),
)
