"""`fleet verify` over an account in which one thing is broken at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto.core.responses import ActionResult
from moto.elasticache.models import elasticache_backends
from moto.elasticache.responses import ElastiCacheResponse
from moto.kms.models import kms_backends
from moto.secretsmanager.models import secretsmanager_backends

from catalog.environment import Alerts, Monitoring
from fleet.account import Account
from fleet.errors import WantingError
from fleet.verify.cache import check_cache
from fleet.verify.check import Check
from fleet.verify.run import Report, verify
from fleet.verify.scope import Scope
from tests.unit.fleet.right_account import (
    ACCOUNT,
    CACHE_SECRET,
    CLUSTER,
    FALLBACK,
    FOR_THIS_ACCOUNT,
    NATS_BUCKET,
    REGION,
    TOPIC,
    TRUST,
    RightAccount,
    WithoutTasks,
    catalog,
    environment,
    gateway_task,
    state_manager_task,
)

Break = Callable[[RightAccount], Any]


def look(right: RightAccount, **changes: Any) -> Report:
    return verify(Scope(catalog(), environment(**changes), WithoutTasks(right.session, ACCOUNT)), proofs={})


def wanting(report: Report) -> set[tuple[str, str]]:
    return {(check.id, check.subject) for check in report.wanting}


def test_finds_nothing_wanting_in_a_right_account(right: RightAccount) -> None:
    report = look(right)
    assert [check for check in report.checks if check.status not in {"ok", "unproven"}] == []
    assert report.verdict == (
        "2 of 2 services deployed with two replicas each; 6 of 6 alarms wired to gaming-system-alerts-test"
    )


def test_lists_a_disabled_service_as_such(right: RightAccount) -> None:
    rows = {row.service: row for row in look(right).services}
    assert not rows["quest-system-nats"].enabled
    assert rows["quest-system-nats"].counts is None
    assert rows["state-manager-nats"].good


GAME, GATEWAY = "state-manager-nats", "http-nats-gateway"
CPU = f"{GAME}-cpu-high-test"
TASKS = f"{GAME}-tasks-low-test"


def scale(service: str, count: int) -> Break:
    return lambda right: right.ecs.update_service(cluster=CLUSTER, service=service, desiredCount=count)


def deployment(**changes: Any) -> Break:
    return lambda right: right.put_deployment_configuration(GAME, **changes)


def network(groups: int = 2, **changes: Any) -> Break:
    return lambda right: right.ecs.update_service(
        cluster=CLUSTER, service=GAME, networkConfiguration=right.network_configuration(groups, **changes)
    )


def container(**changes: Any) -> Break:
    return lambda right: right.put_task(GAME, state_manager_task(**changes))


def variables(change: Callable[[dict[str, str]], Any]) -> Break:
    def break_it(right: RightAccount) -> None:
        task = state_manager_task()
        found = task["containerDefinitions"][0]
        values = {one["name"]: one["value"] for one in found["environment"]}
        change(values)
        found["environment"] = [{"name": name, "value": value} for name, value in values.items()]
        right.put_task(GAME, task)

    return break_it


def task(**changes: Any) -> Break:
    return lambda right: right.put_task(GAME, {**state_manager_task(), **changes})


def alarm(kind: str, **changes: Any) -> Break:
    return lambda right: right.put_alarm(GAME, kind, **changes)


def key_policy(*actions: str) -> Break:
    def break_it(right: RightAccount) -> None:
        statements = [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "Action": "kms:*",
                "Resource": "*",
            },
            {
                "Effect": "Allow",
                "Principal": TRUST,
                "Action": list(actions),
                "Resource": "*",
                "Condition": FOR_THIS_ACCOUNT,
            },
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        right.kms.put_key_policy(KeyId=right.key_id, PolicyName="default", Policy=policy)

    return break_it


def topic_attribute(name: str, value: str) -> Break:
    return lambda right: right.sns.set_topic_attributes(TopicArn=TOPIC, AttributeName=name, AttributeValue=value)


def unsubscribe(right: RightAccount) -> None:
    for one in right.sns.list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]:
        right.sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])


LOGGING = {
    "logDriver": "awslogs",
    "options": {"awslogs-group": "/elsewhere", "awslogs-region": "us-east-1", "awslogs-stream-prefix": GAME},
}
DEFECTS: dict[str, tuple[Break, set[tuple[str, str]]]] = {
    "service removed": (
        lambda right: right.ecs.delete_service(cluster=CLUSTER, service=GAME, force=True),
        {("service.exists", GAME)},
    ),
    "service that is disabled": (
        lambda right: right.put_service("quest-system-nats", state_manager_task()),
        {("service.unexpected", "quest-system-nats")},
    ),
    "service that is in no catalog": (
        lambda right: right.put_service("left-over", state_manager_task()),
        {("service.unexpected", "left-over")},
    ),
    "one task too few": (scale(GAME, 1), {("service.desired-count", GAME)}),
    "more tasks than scaling allows": (scale(GATEWAY, 7), {("service.desired-count", GATEWAY)}),
    "scaling removed": (
        lambda right: right.scaling.deregister_scalable_target(
            ServiceNamespace="ecs",
            ResourceId=f"service/{CLUSTER}/{GATEWAY}",
            ScalableDimension="ecs:service:DesiredCount",
        ),
        {("service.autoscaling", GATEWAY)},
    ),
    "no circuit breaker": (
        deployment(deploymentCircuitBreaker={"enable": False, "rollback": True}),
        {("service.circuit-breaker", GAME)},
    ),
    "no roll-back": (
        deployment(deploymentCircuitBreaker={"enable": True, "rollback": False}),
        {("service.roll-back", GAME)},
    ),
    "half may be down": (deployment(minimumHealthyPercent=50), {("service.minimum-healthy-percent", GAME)}),
    "no room for new tasks": (deployment(maximumPercent=100), {("service.maximum-percent", GAME)}),
    "public address": (network(public=True), {("service.public-ip", GAME)}),
    "one zone": (network(subnets=1), {("service.subnets", GAME)}),
    "no way to the cache": (network(groups=1), {("service.security-groups", GAME)}),
    "image": (container(image="elsewhere/state-manager-nats:1.0.0"), {("container.image", GAME)}),
    "command": (container(command=["sh"]), {("container.command", GAME)}),
    "root user": (container(user="0:0"), {("container.user", GAME)}),
    "root file system": (container(readonlyRootFilesystem=False), {("container.read-only-root", GAME)}),
    "privileged": (container(privileged=True), {("container.privileged", GAME)}),
    "secret of another service": (
        container(
            secrets=[{"name": "CACHE_SECRET", "valueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:x"}]
        ),
        {("secret.CACHE_SECRET", GAME)},
    ),
    "one secret too many": (
        container(
            secrets=[*state_manager_task()["containerDefinitions"][0]["secrets"], {"name": "X", "valueFrom": "y"}]
        ),
        {("secret.others", GAME)},
    ),
    "logs elsewhere": (container(logConfiguration=LOGGING), {("logging.awslogs-group", GAME)}),
    "port closed": (container(portMappings=[]), {("container.ports", GAME)}),
    "variable changed": (
        variables(lambda found: found.update(NATS_SERVERS="nats://x")),
        {("variable.NATS_SERVERS", GAME)},
    ),
    "variable missing": (
        variables(lambda found: found.pop("CACHE_ENDPOINT")),
        {("variable.CACHE_ENDPOINT", GAME)},
    ),
    "variable too many": (variables(lambda found: found.update(DEBUG="1")), {("variable.others", GAME)}),
    "cpu": (task(cpu="1024", memory="2048"), {("task.cpu", GAME), ("task.memory", GAME)}),
    "processor": (
        task(runtimePlatform={"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"}),
        {("task.architecture", GAME)},
    ),
    "role of another service": (task(taskRoleArn=f"arn:aws:iam::{ACCOUNT}:role/x"), {("task.task-role", GAME)}),
    "alarm missing": (
        lambda right: right.cloudwatch.delete_alarms(AlarmNames=[CPU]),
        {("alarm.exists", CPU)},
    ),
    "alarm threshold": (alarm("cpu-high", Threshold=90), {("alarm.Threshold", CPU)}),
    "alarm period": (alarm("cpu-high", Period=300), {("alarm.Period", CPU)}),
    "alarm metric": (alarm("cpu-high", MetricName="MemoryUtilization"), {("alarm.MetricName", CPU)}),
    "alarm of another service": (
        alarm(
            "cpu-high", Dimensions=[{"Name": "ClusterName", "Value": CLUSTER}, {"Name": "ServiceName", "Value": "x"}]
        ),
        {("alarm.Dimensions", CPU)},
    ),
    "silence is fine": (alarm("tasks-low", TreatMissingData="notBreaching"), {("alarm.TreatMissingData", TASKS)}),
    "alarm without action": (alarm("tasks-low", AlarmActions=[]), {("alarm.AlarmActions", TASKS)}),
    "alarm without recovery": (alarm("tasks-low", OKActions=[FALLBACK]), {("alarm.OKActions", TASKS)}),
    "alarm switched off": (alarm("tasks-low", ActionsEnabled=False), {("alarm.ActionsEnabled", TASKS)}),
    "alarm of a disabled service": (
        lambda right: right.put_alarm("quest-system-nats", "cpu-high"),
        {("alarm.strays", "6 alarms of services")},
    ),
    "fourth alarm of a service": (
        lambda right: right.put_alarm(GAME, "cpu-high", AlarmName=f"{GAME}-by-hand"),
        {("alarm.strays", "6 alarms of services")},
    ),
    "topic missing": (
        lambda right: right.sns.delete_topic(TopicArn=TOPIC),
        {("topic.exists", "gaming-system-alerts-test")},
    ),
    "fallback topic missing": (
        lambda right: right.sns.delete_topic(TopicArn=FALLBACK),
        {("topic.exists", "gaming-system-alerts-fallback-test")},
    ),
    "topic lets nobody in": (
        lambda right: right.put_topic_policy(TOPIC, {"Service": "events.amazonaws.com"}, FOR_THIS_ACCOUNT),
        {("topic.policy", "gaming-system-alerts-test")},
    ),
    "topic lets another account in": (
        lambda right: right.put_topic_policy(TOPIC, TRUST, {"StringEquals": {"aws:SourceAccount": "999999999999"}}),
        {("topic.policy", "gaming-system-alerts-test"), ("topic.policy-account", "gaming-system-alerts-test")},
    ),
    "topic lets every account in": (
        lambda right: right.put_topic_policy(TOPIC, TRUST, {}),
        {("topic.policy-account", "gaming-system-alerts-test")},
    ),
    "topic in clear": (topic_attribute("KmsMasterKeyId", ""), {("topic.key", "gaming-system-alerts-test")}),
    "topic with a key that is gone": (
        topic_attribute("KmsMasterKeyId", "alias/gone"),
        {("key.exists", "gaming-system-alerts-test")},
    ),
    "topic with the key of AWS": (
        lambda right: setattr(kms_backends[ACCOUNT]["us-east-1"].keys[right.key_id], "key_manager", "AWS"),
        {("key.manager", f"gaming-system-alerts{role}-test") for role in ("", "-fallback")},
    ),
    "key disabled": (
        lambda right: right.kms.disable_key(KeyId=right.key_id),
        {("key.state", f"gaming-system-alerts{role}-test") for role in ("", "-fallback")},
    ),
    "key that CloudWatch may not use": (
        key_policy("kms:Decrypt"),
        {("key.policy", f"gaming-system-alerts{role}-test") for role in ("", "-fallback")},
    ),
    "nobody subscribed": (
        unsubscribe,
        {
            ("subscription.any", "gaming-system-alerts-test"),
            ("subscription.exists", "gaming-system-alerts-test: email of /gaming-system/test/alerts/email"),
        },
    ),
    "log group missing": (
        lambda right: right.logs.delete_log_group(logGroupName="/ecs/gaming-system-nats-test"),
        {("log-group.exists", "/ecs/gaming-system-nats-test")},
    ),
    "logs kept for ever": (
        lambda right: right.logs.delete_retention_policy(logGroupName="/ecs/gaming-system-nats-test"),
        {("log-group.retention-days", "/ecs/gaming-system-nats-test")},
    ),
    "repository missing": (
        lambda right: right.ecr.delete_repository(repositoryName="gaming-system-test/quest-system-nats"),
        {("repository.exists", "gaming-system-test/quest-system-nats")},
    ),
    "tags may move": (
        lambda right: right.ecr.put_image_tag_mutability(
            repositoryName="gaming-system-test/reference-service", imageTagMutability="MUTABLE"
        ),
        {("repository.tags", "gaming-system-test/reference-service")},
    ),
    "stack missing": (
        lambda right: right.cloudformation.delete_stack(StackName="gaming-system-test-cache"),
        {("stack.complete", "gaming-system-test-cache")},
    ),
    "stack left over": (
        lambda right: right.add_stack("gaming-system-test-services-magic"),
        {("stack.orphan", "gaming-system-test-services-magic")},
    ),
}


def cache(**changes: Any) -> Break:
    """Have another cache in the place of the right one."""

    def break_it(right: RightAccount) -> None:
        right.elasticache.delete_replication_group(ReplicationGroupId=CLUSTER)
        right.put_cache(**changes)

    return break_it


def put_secret_without_rotation(right: RightAccount) -> None:
    right.secretsmanager.delete_secret(SecretId=CACHE_SECRET, ForceDeleteWithoutRecovery=True)
    right.secretsmanager.create_secret(Name=CACHE_SECRET, SecretString="{}")


def put_orphan(right: RightAccount) -> None:
    right.elasticache.create_user(
        UserId="orphan", UserName="orphan", Engine="redis", AccessString="on ~* +@all", Passwords=["sixteen characters"]
    )
    right.elasticache.modify_user_group(UserGroupId=CLUSTER, UserIdsToAdd=["orphan"])


def leave_password_behind(right: RightAccount) -> None:
    """Let more than two days pass since the password should have changed: it has a month, and Secrets Manager tries again."""
    del right
    kept: Any = secretsmanager_backends[ACCOUNT][REGION].secrets[CACHE_SECRET]
    kept.last_rotation_date = (datetime.now(UTC) - timedelta(days=33)).timestamp()


DEFECTS |= {
    "cache gone": (
        lambda right: right.elasticache.delete_replication_group(ReplicationGroupId=CLUSTER),
        {("cache.exists", CLUSTER)},
    ),
    "cache in plain text": (cache(TransitEncryptionEnabled=False), {("cache.encrypted-in-transit", CLUSTER)}),
    "cache that takes plain text too": (
        cache(TransitEncryptionMode="preferred"),
        {("cache.tls-required", CLUSTER)},
    ),
    "cache on a plain disk": (cache(AtRestEncryptionEnabled=False), {("cache.encrypted-at-rest", CLUSTER)}),
    "cache of an older version": (
        cache(EngineVersion="8.0.9"),
        {("cache.engine", f"{CLUSTER}-001"), ("cache.engine", f"{CLUSTER}-002")},
    ),
    "cache of another major version": (
        cache(EngineVersion="9.1"),
        {("cache.engine", f"{CLUSTER}-001"), ("cache.engine", f"{CLUSTER}-002")},
    ),
    "cache of another engine": (
        cache(Engine="redis"),
        {("cache.engine", f"{CLUSTER}-001"), ("cache.engine", f"{CLUSTER}-002")},
    ),
    "cache that is being changed": (
        lambda _: setattr(elasticache_backends[ACCOUNT][REGION].replication_groups[CLUSTER], "status", "modifying"),
        {("cache.status", CLUSTER)},
    ),
    "cache that everybody may use": (
        lambda right: right.elasticache.modify_replication_group(ReplicationGroupId=CLUSTER, RemoveUserGroups=True),
        {("cache.users", CLUSTER)},
    ),
    "cache with a node too many": (cache(ReplicasPerNodeGroup=2), {("cache.nodes", CLUSTER)}),
    "cache that does not fail over": (cache(AutomaticFailoverEnabled=False), {("cache.failover", CLUSTER)}),
    "cache in other zones": (cache(MultiAZEnabled=True), {("cache.multi-az", CLUSTER)}),
    "cache without snapshots": (cache(SnapshotRetentionLimit=0), {("cache.snapshot-days", CLUSTER)}),
    "cache user gone": (
        lambda right: right.elasticache.delete_user(UserId=GAME),
        {("cache.user", GAME)},
    ),
    "cache user who sees all keys": (
        lambda right: right.elasticache.modify_user(UserId=GAME, AccessString="on ~* +@all"),
        {("cache.user-keys", GAME)},
    ),
    "cache user who sees all channels": (
        lambda right: right.elasticache.modify_user(UserId=GAME, AccessString=f"on ~{GAME}:* &* -@all +@read"),
        {("cache.user-keys", GAME)},
    ),
    "cache user who may do everything": (
        lambda right: right.elasticache.modify_user(UserId=GAME, AccessString=f"on ~{GAME}:* &{GAME}:* +@all"),
        {("cache.user-keys", GAME)},
    ),
    "cache that lets strangers do everything": (
        lambda right: right.elasticache.modify_user(UserId=f"{CLUSTER}-default", AccessString="on ~* +@all"),
        {("cache.stranger-off", CLUSTER)},
    ),
    "cache whose strangers are somebody else's": (
        lambda right: right.elasticache.modify_user_group(UserGroupId=CLUSTER, UserIdsToRemove=[f"{CLUSTER}-default"]),
        {("cache.stranger-off", CLUSTER)},
    ),
    "cache user whom no service asked for": (put_orphan, {("cache.user-orphan", "orphan")}),
    "cache user in no group": (
        lambda right: right.elasticache.modify_user_group(UserGroupId=CLUSTER, UserIdsToRemove=[GAME]),
        {("cache.user-member", GAME)},
    ),
    "cache password gone": (
        lambda right: right.secretsmanager.delete_secret(SecretId=CACHE_SECRET, ForceDeleteWithoutRecovery=True),
        {("cache.secret", GAME)},
    ),
    "cache password that nobody changes": (
        put_secret_without_rotation,
        {("cache.rotation", GAME)},
    ),
    "cache password that was to change long ago": (
        leave_password_behind,
        {("cache.password-age", GAME)},
    ),
    "cache alarm that tells nobody": (
        lambda right: right.put_platform_alarm("cache-cpu-001", AlarmActions=[]),
        {("cache.alarm-actions", "platform-cache-cpu-001-test")},
    ),
    "cache alarm missing": (
        lambda right: right.cloudwatch.delete_alarms(AlarmNames=["platform-cache-memory-002-test"]),
        {("cache.alarm", "platform-cache-memory-002-test")},
    ),
}


NODE = "nats-2"


OF_SLOT: Any = [{"Name": "tag:nats-slot", "Values": [NODE]}]


def end_machine(right: RightAccount) -> None:
    (found,) = right.ec2.describe_instances(Filters=OF_SLOT)["Reservations"]
    right.ec2.terminate_instances(InstanceIds=[found["Instances"][0]["InstanceId"]])


def remove_disk(right: RightAccount) -> None:
    for volume in right.ec2.describe_volumes(Filters=OF_SLOT)["Volumes"]:
        right.ec2.delete_volume(VolumeId=volume["VolumeId"])


def remove_address(right: RightAccount) -> None:
    for address in right.ec2.describe_network_interfaces(Filters=OF_SLOT)["NetworkInterfaces"]:
        right.ec2.delete_network_interface(NetworkInterfaceId=address["NetworkInterfaceId"])


DEFECTS |= {
    "NATS machine gone": (end_machine, {("nats.machine", NODE)}),
    "NATS disk gone": (remove_disk, {("nats.disk", NODE)}),
    "NATS address gone": (remove_address, {("nats.address", NODE)}),
    "NATS alarm missing": (
        lambda right: right.cloudwatch.delete_alarms(AlarmNames=["platform-nats-leaderless-test"]),
        {("nats.alarm", "platform-nats-leaderless-test")},
    ),
    "NATS alarm that tells nobody": (
        lambda right: right.put_platform_alarm("nats-disk", AlarmActions=[]),
        {("nats.alarm-actions", "platform-nats-disk-test")},
    ),
    "NATS without a configuration": (
        lambda right: right.s3.delete_object(Bucket=NATS_BUCKET, Key="current.json"),
        {("nats.configuration", NATS_BUCKET)},
    ),
    "NATS configured for another catalog": (
        lambda right: right.put_nats("state/cluster.json", {"request": {"services": {}}, "users": []}),
        {("nats.configuration-asked", NATS_BUCKET)},
    ),
    "NATS node without a configuration": (
        lambda right: right.put_nats("current.json", {"version": 1, "configuration": {"nats-1": {}}}),
        {("nats.configuration-nodes", NATS_BUCKET)},
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_finds_what_is_wrong_and_nothing_else(right: RightAccount, defect: str) -> None:
    break_it, expected = DEFECTS[defect]
    break_it(right)
    report = look(right)
    assert wanting(report) >= expected
    subjects = {subject for _, subject in expected}
    # A missing service or topic takes with it what hangs on it; nothing else may be blamed.
    assert {subject for _, subject in wanting(report)} <= subjects | {"6 alarms of services"}
    assert not report.good
    assert "found wanting" in report.verdict


def test_a_full_group_of_users_is_read_to_its_last_page(right: RightAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_by_one(response: ElastiCacheResponse) -> ActionResult:
        users = list(response.elasticache_backend.users.values())
        at = int(response._get_param("Marker") or 0)  # noqa: SLF001 (moto's own way to a parameter)
        marker = {"Marker": str(at + 1)} if at + 1 < len(users) else {}
        return ActionResult({"Users": users[at : at + 1], **marker})

    monkeypatch.setattr(ElastiCacheResponse, "describe_users", one_by_one)
    assert len(right.elasticache.describe_users()["Users"]) == 1
    assert look(right).good


def test_a_cache_that_aws_brought_to_a_newer_minor_version_is_right(right: RightAccount) -> None:
    cache(EngineVersion="8.2.1")(right)
    assert look(right).good


@pytest.mark.parametrize(
    ("answer", "status", "found"),
    [
        ({"opened": False, "reason": "Authentication required."}, "ok", "Authentication required."),
        ({"opened": True, "reason": ""}, "wanting", "a stranger was let in"),
        (WantingError("Timeout connecting to server"), "wanting", "Timeout connecting to server"),
    ],
    ids=["refuses", "lets in", "out of reach"],
)
def test_the_cache_is_to_answer_and_to_refuse_a_stranger(
    right: RightAccount, monkeypatch: pytest.MonkeyPatch, answer: Any, status: str, found: str
) -> None:
    def ask(_account: Account, function: str, event: object) -> Any:
        assert (function, event) == ("gaming-system-test-cache-probe", {})
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("fleet.verify.cache.ask", ask)
    checks = check_cache(Scope(catalog(), environment(), right.account))
    assert [(check.status, check.found) for check in checks if check.id == "cache.answers"] == [(status, found)]


def test_a_cache_that_cannot_answer_is_not_asked(right: RightAccount) -> None:
    silent = environment().cache.model_copy(update={"prove_passwords": False})
    scope = Scope(catalog(), environment(cache=silent), right.account)
    assert [(check.id, check.status) for check in check_cache(scope) if check.status != "ok"] == [
        ("cache.answers", "unproven")
    ]
    assert not scope.claims_cache


def test_says_what_is_expected_what_is_found_and_what_helps(right: RightAccount) -> None:
    scale(GAME, 1)(right)
    check = look(right).wanting[0]
    assert check == Check("service.desired-count", GAME, "wanting", "2", "1", "make deploy ENV=test")


def test_counts_only_alarms_that_act_on_the_topic_as_wired(right: RightAccount) -> None:
    alarm("cpu-high", AlarmActions=[FALLBACK])(right)
    report = look(right)
    assert "5 of 6 alarms wired" in report.verdict
    assert {row.service: row.alarms_wired for row in report.services}[GAME] == 2


def test_a_cluster_that_is_missing_takes_every_service_with_it(right: RightAccount) -> None:
    for service in (GAME, GATEWAY):
        right.ecs.delete_service(cluster=CLUSTER, service=service, force=True)
    right.ecs.delete_cluster(cluster=CLUSTER)
    found = wanting(look(right))
    assert {("cluster.exists", CLUSTER), ("service.exists", GAME), ("service.exists", GATEWAY)} <= found


def test_the_task_count_comes_from_the_free_metric_where_container_insights_is_off(right: RightAccount) -> None:
    right.ecs.update_cluster(cluster=CLUSTER, settings=[{"name": "containerInsights", "value": "disabled"}])
    for service in (GAME, GATEWAY):
        right.put_alarm(service, "tasks-low", Namespace="AWS/ECS", MetricName="CPUUtilization", Statistic="SampleCount")
    assert look(right, monitoring=Monitoring(container_insights=False)).good
    assert {check_id for check_id, _ in wanting(look(right))} == {
        "cluster.container-insights", "alarm.Namespace", "alarm.MetricName", "alarm.Statistic",
    }  # fmt: skip


def test_an_environment_without_subscribers_is_found_wanting(right: RightAccount) -> None:
    report = look(right, alerts=Alerts())
    assert wanting(report) == {("subscription.any", "gaming-system-alerts-test")}
    assert "environments/test.yaml" in report.wanting[0].fix


def test_a_pending_subscription_is_told_and_does_not_count(
    right: RightAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet.verify.topics._is_confirmed", lambda _subscription: False)
    report = look(right)
    assert [check.found for check in report.warnings] == ["pending"]
    assert wanting(report) == {("subscription.any", "gaming-system-alerts-test")}


def test_an_alarm_that_rings_is_told_of_and_no_fault_of_the_deployment(right: RightAccount) -> None:
    right.cloudwatch.set_alarm_state(AlarmName=CPU, StateValue="ALARM", StateReason="too hot")
    report = look(right)
    assert report.good
    assert [(check.subject, check.found) for check in report.warnings] == [(CPU, "ALARM: too hot")]


def test_another_environment_in_the_account_is_told_of(right: RightAccount) -> None:
    right.add_stack("gaming-system-dev-network")
    right.put_alarm(GAME, "cpu-high", AlarmName=f"{GAME}-cpu-high-dev")
    report = look(right)
    assert report.good
    assert [check.found for check in report.warnings] == ["shared with dev"]


def test_running_tasks_count_where_tasks_run(right: RightAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "fleet.verify.services._read_tasks", lambda _scope: [_task(GAME, "1", "HEALTHY"), _task(GAME, "2", "UNHEALTHY")]
    )
    right.logs.create_log_stream(logGroupName="/ecs/gaming-system-nats-test", logStreamName=f"{GAME}/{GAME}/1")
    report = verify(Scope(catalog(), environment(), right.account), proofs={})
    found = {(check.id, check.subject): check.found for check in report.wanting}
    assert found["service.healthy-count", GAME] == "1"
    assert found["service.running-count", GATEWAY] == "0"
    assert found["log-stream.exists", GAME] == f"none for {GAME}/{GAME}/2"
    assert "0 of them healthy" in report.verdict


def _task(service: str, task_id: str, health: str) -> dict[str, str]:
    return {
        "group": f"service:{service}",
        "lastStatus": "RUNNING",
        "healthStatus": health,
        "taskArn": f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/{CLUSTER}/{task_id}",
    }


def test_a_gateway_that_nothing_leads_to_is_found(right: RightAccount) -> None:
    right.ecs.delete_service(cluster=CLUSTER, service=GATEWAY, force=True)
    right.put_service(GATEWAY, gateway_task(), groups=2, loadBalancers=[])
    assert wanting(look(right)) == {("service.load-balancer", GATEWAY)}
