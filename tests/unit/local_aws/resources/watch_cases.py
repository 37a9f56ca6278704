"""The lives of the types that watch and tell: CloudWatch, Logs, SNS, EventBridge, budgets and backups."""

from __future__ import annotations

from typing import Any

from local_aws.resources.contract import Made
from tests.unit.local_aws.resources.case import Case
from tests.unit.local_aws.resources.world import ACCOUNT, REGION, World, as_json, document


def _by_key(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def _alarm(kind: str) -> Any:
    def look(world: World, made: Made) -> Any:
        found = world.client("cloudwatch").describe_alarms(AlarmNames=[made.physical_id], AlarmTypes=[kind])[f"{kind}s"]
        return found[0] if found else None

    return look


def _alarm_tags(world: World, made: Made) -> dict[str, str]:
    return _by_key(world.client("cloudwatch").list_tags_for_resource(ResourceARN=made.attributes["Arn"])["Tags"])


def _log_group(world: World, made: Made) -> Any:
    found = world.client("logs").describe_log_groups(logGroupNamePrefix=made.physical_id)["logGroups"]
    return found[0] if found else None


def _filter(operation: str, answer: str) -> Any:
    def look(world: World, made: Made) -> Any:
        found = getattr(world.client("logs"), operation)(logGroupName="/filtered")[answer]
        return next((one for one in found if one["filterName"] == made.physical_id), None)

    return look


def _topic(world: World, made: Made) -> Any:
    sns = world.client("sns")
    attributes = sns.get_topic_attributes(TopicArn=made.physical_id)["Attributes"]
    subscriptions = sns.list_subscriptions_by_topic(TopicArn=made.physical_id)["Subscriptions"]
    return {**attributes, "Subscribed": sorted((one["Protocol"], one["Endpoint"]) for one in subscriptions)}


def _policy_of(world: World, _made: Made) -> Any:
    """Return the statements' ids of each topic; nothing when all have SNS's own policy."""
    sns = world.client("sns")
    found = {}
    for topic in sns.list_topics()["Topics"]:
        policy = as_json(sns.get_topic_attributes(TopicArn=topic["TopicArn"])["Attributes"]["Policy"])
        if policy["Statement"][0].get("Sid") != "__default_statement_ID":
            found[topic["TopicArn"].rpartition(":")[2]] = policy["Statement"]
    return found or None


def _rule(world: World, made: Made) -> Any:
    events = world.client("events")
    return {
        **events.describe_rule(Name=made.physical_id),
        "Targets": events.list_targets_by_rule(Rule=made.physical_id)["Targets"],
    }


def _budget(world: World, made: Made) -> Any:
    return world.client("budgets").describe_budget(AccountId=ACCOUNT, BudgetName=made.physical_id)["Budget"]


def _budget_properties(amount: int) -> dict[str, Any]:
    return {
        "Budget": {
            "BudgetName": "monthly",
            "BudgetType": "COST",
            "TimeUnit": "MONTHLY",
            "BudgetLimit": {"Amount": amount, "Unit": "USD"},
        },
        "NotificationsWithSubscribers": [
            {
                "Notification": {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80},
                "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "ops@example.com"}],
            }
        ],
    }


def _vault(world: World, made: Made) -> Any:
    backup = world.client("backup")
    vault = backup.describe_backup_vault(BackupVaultName=made.physical_id)
    for operation, part in (
        ("get_backup_vault_access_policy", "Policy"),
        ("get_backup_vault_notifications", "BackupVaultEvents"),
    ):
        try:
            vault[part] = getattr(backup, operation)(BackupVaultName=made.physical_id)[part]
        except backup.exceptions.ResourceNotFoundException:
            vault[part] = None
    return vault


_ALARM = {
    "MetricName": "CPUUtilization",
    "Namespace": "AWS/ECS",
    "Statistic": "Average",
    "Period": 60,
    "EvaluationPeriods": 3,
    "DatapointsToAlarm": 2,
    "Threshold": 80,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "breaching",
    "Dimensions": [{"Name": "ServiceName", "Value": "player"}],
}
_PUBLISH = {
    "Sid": "alarms",
    "Effect": "Allow",
    "Principal": {"Service": "cloudwatch.amazonaws.com"},
    "Action": "sns:Publish",
    "Resource": "*",
}
_METRIC = {"MetricName": "errors", "MetricNamespace": "fleet", "MetricValue": "1", "DefaultValue": 0}

CASES = (
    Case(
        type="AWS::CloudWatch::Alarm",
        properties=lambda w: {
            **_ALARM,
            "AlarmName": "player-cpu-high",
            "AlarmActions": [w.topic()],
            "OKActions": [w.topic()],
            "AlarmDescription": "d",
        },
        look=_alarm("MetricAlarm"),
        seen={
            "Threshold": 80.0,
            "DatapointsToAlarm": 2,
            "TreatMissingData": "breaching",
            "AlarmActions": [f"arn:aws:sns:{REGION}:{ACCOUNT}:topic"],
            "StateValue": "INSUFFICIENT_DATA",
        },
        change=lambda _: {"Threshold": 90, "DatapointsToAlarm": None},
        then={"Threshold": 90.0, "DatapointsToAlarm": None},
        tags=_alarm_tags,
        attributes={"Arn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:player-cpu-high"},
    ),
    Case(
        type="AWS::CloudWatch::Alarm",
        properties=lambda _: {
            "AlarmName": "by-expression",
            "Metrics": [
                {"Id": "e", "Expression": "a / b", "ReturnData": True, "Label": "share"},
                {
                    "Id": "a",
                    "MetricStat": {"Metric": {"Namespace": "n", "MetricName": "a"}, "Period": 60, "Stat": "Sum"},
                    "ReturnData": False,
                },
            ],
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "LessThanThreshold",
        },
        look=_alarm("MetricAlarm"),
        seen={"Metrics": [{"Id": "e", "Expression": "a / b"}, {"Id": "a", "ReturnData": False}]},
        name="metrics",
    ),
    Case(
        type="AWS::CloudWatch::CompositeAlarm",
        properties=lambda w: {
            "AlarmName": "fleet",
            "AlarmRule": "ALARM(player-cpu-high)",
            "AlarmActions": [w.topic()],
            "ActionsSuppressor": "maintenance",
            "ActionsSuppressorWaitPeriod": 60,
            "ActionsSuppressorExtensionPeriod": 60,
        },
        look=_alarm("CompositeAlarm"),
        seen={
            "AlarmRule": "ALARM(player-cpu-high)",
            "ActionsSuppressor": "maintenance",
            "ActionsSuppressorWaitPeriod": 60,
        },
        change=lambda _: {"AlarmRule": "OK(player-cpu-high)"},
        then={"AlarmRule": "OK(player-cpu-high)"},
        tags=_alarm_tags,
    ),
    Case(
        type="AWS::CloudWatch::Dashboard",
        properties=lambda _: {"DashboardName": "fleet", "DashboardBody": '{"widgets": []}'},
        look=lambda w, m: as_json(w.client("cloudwatch").get_dashboard(DashboardName=m.physical_id)["DashboardBody"]),
        seen={"widgets": []},
        change=lambda _: {"DashboardBody": '{"widgets": [], "start": "-PT1H"}'},
        then={"start": "-PT1H"},
        tags=lambda w, m: _by_key(
            w.client("cloudwatch").list_tags_for_resource(
                ResourceARN=f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{m.physical_id}"
            )["Tags"]
        ),
    ),
    Case(
        type="AWS::Logs::LogGroup",
        properties=lambda w: {
            "LogGroupName": "/ecs/fleet",
            "RetentionInDays": 30,
            "KmsKeyId": w.make("AWS::KMS::Key").attributes["Arn"],
            "LogGroupClass": "STANDARD",
        },
        look=_log_group,
        seen={"retentionInDays": 30, "kmsKeyId": lambda value: ":key/" in value},
        change=lambda _: {"RetentionInDays": None, "KmsKeyId": None},
        then={"retentionInDays": None, "kmsKeyId": None},
        tags=lambda w, m: w.client("logs").list_tags_for_resource(resourceArn=m.attributes["Arn"].removesuffix(":*"))[
            "tags"
        ],
        attributes={"Arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/ecs/fleet:*"},
    ),
    Case(
        type="AWS::Logs::MetricFilter",
        properties=lambda w: {
            "LogGroupName": w.log_group("/filtered"),
            "FilterPattern": "ERROR",
            "MetricTransformations": [_METRIC],
        },
        look=_filter("describe_metric_filters", "metricFilters"),
        seen={"filterPattern": "ERROR", "metricTransformations": [{"metricName": "errors"}]},
        change=lambda _: {"FilterPattern": "WARN"},
        then={"filterPattern": "WARN"},
    ),
    Case(
        type="AWS::Logs::SubscriptionFilter",
        properties=lambda w: {
            "LogGroupName": w.log_group("/filtered"),
            "FilterPattern": "",
            "DestinationArn": w.function().attributes["Arn"],
        },
        look=_filter("describe_subscription_filters", "subscriptionFilters"),
        seen={"filterPattern": "", "destinationArn": lambda value: ":function:" in value},
        change=lambda _: {"FilterPattern": "ERROR"},
        then={"filterPattern": "ERROR"},
    ),
    Case(
        type="AWS::SNS::Topic",
        properties=lambda w: {
            "TopicName": "alerts",
            "DisplayName": "Alerts",
            "KmsMasterKeyId": w.make("AWS::KMS::Key").physical_id,
            "Subscription": [{"Protocol": "email", "Endpoint": "a@example.com"}],
        },
        look=_topic,
        seen={
            "DisplayName": "Alerts",
            "KmsMasterKeyId": bool,
            "Subscribed": [("email", "a@example.com")],
        },
        change=lambda _: {"DisplayName": "Fleet", "Subscription": [{"Protocol": "sms", "Endpoint": "+15550100"}]},
        then={"DisplayName": "Fleet", "Subscribed": [("sms", "+15550100")]},
        tags=lambda w, m: _by_key(w.client("sns").list_tags_for_resource(ResourceArn=m.physical_id)["Tags"]),
        attributes={"TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts", "TopicName": "alerts"},
    ),
    Case(
        type="AWS::SNS::TopicPolicy",
        properties=lambda w: {"Topics": [w.topic("one"), w.topic("two")], "PolicyDocument": document(_PUBLISH)},
        look=_policy_of,
        seen={"one": [_PUBLISH], "two": [_PUBLISH]},
        change=lambda w: {"Topics": [w.topic("three")]},
        then=lambda value: set(value) == {"three"},
    ),
    *(
        Case(
            type="AWS::SNS::Subscription",
            properties=lambda w, protocol=protocol, endpoint=endpoint: {  # type: ignore[misc]
                "TopicArn": w.topic(),
                "Protocol": protocol,
                "Endpoint": endpoint,
                "FilterPolicy": {"severity": ["high"]},
            },
            look=lambda w, m: w.client("sns").get_subscription_attributes(SubscriptionArn=m.physical_id)["Attributes"],
            seen={
                "Protocol": protocol,
                "Endpoint": endpoint,
                "FilterPolicy": lambda value: as_json(value) == {"severity": ["high"]},
            },
            change=lambda _: {"FilterPolicy": {"severity": ["low"]}, "RawMessageDelivery": "true"},
            then={"RawMessageDelivery": "true", "FilterPolicy": lambda value: as_json(value) == {"severity": ["low"]}},
            name=protocol,
        )
        for protocol, endpoint in (
            ("email", "ops@example.com"),
            ("sms", "+15550100"),
            ("https", "https://example.com/alerts"),
        )
    ),
    Case(
        type="AWS::Events::Rule",
        properties=lambda w: {
            "EventPattern": {"source": ["aws.ecs"]},
            "Targets": [
                {
                    "Id": "topic",
                    "Arn": w.topic(),
                    "InputTransformer": {"InputPathsMap": {"a": "$.a"}, "InputTemplate": '"<a>"'},
                }
            ],
        },
        look=_rule,
        seen={
            "EventPattern": lambda value: as_json(value) == {"source": ["aws.ecs"]},
            "State": "ENABLED",
            "Targets": [{"Id": "topic"}],
        },
        change=lambda w: {"State": "DISABLED", "Targets": [{"Id": "other", "Arn": w.topic("other")}]},
        then={"State": "DISABLED", "Targets": [{"Id": "other"}]},
        tags=lambda w, m: _by_key(w.client("events").list_tags_for_resource(ResourceARN=m.attributes["Arn"])["Tags"]),
        attributes={"Arn": lambda value: ":rule/" in value, "RuleName": lambda value: value.startswith("fleet-Thing-")},
    ),
    Case(
        type="AWS::Scheduler::Schedule",
        properties=lambda w: {
            "Name": "renewal",
            "ScheduleExpression": "rate(1 day)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": w.function().attributes["Arn"], "RoleArn": w.role().attributes["Arn"], "Input": "{}"},
        },
        look=lambda w, m: w.client("scheduler").get_schedule(Name=m.physical_id),
        seen={"ScheduleExpression": "rate(1 day)", "State": "ENABLED"},
        change=lambda _: {"ScheduleExpression": "rate(12 hours)", "State": "DISABLED"},
        then={"ScheduleExpression": "rate(12 hours)", "State": "DISABLED"},
        attributes={"Arn": f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/renewal"},
    ),
    Case(
        type="AWS::Budgets::Budget",
        properties=lambda _: _budget_properties(900),
        look=_budget,
        seen={"BudgetLimit": {"Amount": "900", "Unit": "USD"}},
        change=lambda _: {"Budget": _budget_properties(1000)["Budget"]},
        then={"BudgetLimit": {"Amount": "1000"}},
        tags=lambda w, m: _by_key(
            w.client("budgets").list_tags_for_resource(
                ResourceARN=f"arn:aws:budgets::{ACCOUNT}:budget/{m.physical_id}"
            )["ResourceTags"]
        ),
    ),
    Case(
        type="AWS::Backup::BackupVault",
        properties=lambda w: {
            "BackupVaultName": "vault",
            "AccessPolicy": document(
                {"Effect": "Deny", "Principal": "*", "Action": "backup:DeleteRecoveryPoint", "Resource": "*"}
            ),
            "Notifications": {"SNSTopicArn": w.topic(), "BackupVaultEvents": ["BACKUP_JOB_FAILED"]},
            "LockConfiguration": {"MinRetentionDays": 7},
        },
        look=_vault,
        seen={
            "MinRetentionDays": 7,
            "BackupVaultEvents": ["BACKUP_JOB_FAILED"],
            "Policy": lambda value: "DeleteRecoveryPoint" in value,
        },
        change=lambda _: {"AccessPolicy": None, "Notifications": None, "LockConfiguration": None},
        then={"Policy": None, "BackupVaultEvents": None, "Locked": lambda value: not value},
        tags=lambda w, m: w.client("backup").list_tags(ResourceArn=m.attributes["BackupVaultArn"])["Tags"],
    ),
)
