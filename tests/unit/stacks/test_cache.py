"""The cache: encrypted, as strong as the environment says, with users whose passwords no template knows."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from catalog import load_environment, names
from fleet_constructs.cache_users import access_string
from tests.synthesis import Fleet, Resource, small_catalog, small_fleet, synthesise

GROUP = "AWS::ElastiCache::ReplicationGroup"
PARAMETERS = "AWS::ElastiCache::ParameterGroup"
USER = "Custom::CacheUser"
USER_GROUP = "AWS::ElastiCache::UserGroup"
ROTATION = "AWS::SecretsManager::RotationSchedule"
SECRET = "AWS::SecretsManager::Secret"
FUNCTION = "AWS::Lambda::Function"


def with_cache(**changes: Any) -> Fleet:
    """Return the small fleet of production with another cache."""
    prod = load_environment("prod")
    cache = prod.cache.model_copy(update=changes)
    return synthesise(small_catalog(), prod.model_copy(update={"cache": cache}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TransitEncryptionEnabled", True),
        ("TransitEncryptionMode", "required"),
        ("AtRestEncryptionEnabled", True),
        ("AutoMinorVersionUpgrade", True),
        ("Port", 6379),
        ("PreferredMaintenanceWindow", "sun:04:00-sun:05:00"),
    ],
)
def test_the_cache_is_encrypted_and_patched_in_its_window(fleet: Fleet, name: str, value: Any) -> None:
    assert fleet.one(GROUP)[name] == value


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ("prod", ("valkey", "cache.t4g.medium", 1, True, True, 7, "02:00-03:00")),
        ("staging", ("valkey", "cache.t4g.small", 1, True, True, 1, "02:00-03:00")),
        ("dev", ("valkey", "cache.t4g.micro", 0, False, False, 0, None)),
    ],
)
def test_the_cache_is_as_strong_as_the_environment_says(environment: str, expected: tuple[Any, ...]) -> None:
    group = small_fleet(environment).one(GROUP)
    keys = (
        "Engine",
        "CacheNodeType",
        "ReplicasPerNodeGroup",
        "AutomaticFailoverEnabled",
        "MultiAZEnabled",
        "SnapshotRetentionLimit",
        "SnapshotWindow",
    )
    assert tuple(group.properties.get(key) for key in keys) == expected


def test_cluster_mode_has_its_own_endpoint_its_own_parameter_and_fails_over() -> None:
    fleet = with_cache(cluster_mode=True, shards=2, replicas_per_shard=1)
    group = fleet.one(GROUP)
    assert (group["ClusterMode"], group["NumNodeGroups"], group["AutomaticFailoverEnabled"]) == ("enabled", 2, True)
    assert fleet.one(PARAMETERS)["Properties"]["cluster-enabled"] == "yes"
    probe = fleet.one(FUNCTION, FunctionName="gaming-system-prod-cache-probe")
    assert ".ConfigurationEndPoint.Address}:6379" in fleet.text(
        "cache", probe["Environment"]["Variables"]["CACHE_ENDPOINT"]
    )


def test_redis_is_had_by_one_key_and_its_version() -> None:
    fleet = with_cache(engine="redis", engine_version="7.1")
    assert (fleet.one(GROUP)["Engine"], fleet.one(GROUP)["EngineVersion"]) == ("redis", "7.1")
    assert fleet.one(PARAMETERS)["CacheParameterGroupFamily"] == "redis7"


def test_another_engine_leaves_the_users_as_they_are_and_replaces_the_parameters_alone(small: Fleet) -> None:
    """Redis lets in no group of Valkey's, and a group is changed before the cache that it is of."""
    redis = with_cache(engine="redis", engine_version="7.1")
    kinds = (USER, USER_GROUP)
    assert redis.resources(*kinds) == small.resources(*kinds)
    assert {resource["Engine"] for resource in redis.resources(*kinds)} == {"redis"}
    assert redis.one(PARAMETERS).logical_id == small.one(PARAMETERS).logical_id
    assert "CacheParameterGroupName" not in redis.one(PARAMETERS).properties, (
        "the new one could not be made beside the old"
    )


@pytest.mark.parametrize(
    ("engine", "version", "family"),
    [
        ("valkey", "7.2", "valkey7"),
        ("valkey", "8.1", "valkey8"),
        ("valkey", "9.0", "valkey9"),
        ("redis", "7.0", "redis7"),
    ],
)
def test_parameters_are_of_the_engines_family(engine: str, version: str, family: str) -> None:
    assert with_cache(engine=engine, engine_version=version).one(PARAMETERS)["CacheParameterGroupFamily"] == family


def test_the_cache_stands_in_private_subnets_behind_its_own_group_and_on_disks_under_its_own_key(small: Fleet) -> None:
    group = small.one(GROUP)
    assert small.followed("cache", group["KmsKeyId"]).type == "AWS::KMS::Key"
    (security_group,) = group["SecurityGroupIds"]
    assert "SecurityGroupsCache" in small.text("cache", security_group)
    assert "CacheClient" not in small.text("cache", security_group)
    subnets = [small.text("cache", one) for one in small.followed("cache", group["CacheSubnetGroupName"])["SubnetIds"]]
    assert len(subnets) == 3
    assert all("private" in subnet.lower() for subnet in subnets)


def test_users_are_made_and_changed_one_after_the_other(fleet: Fleet) -> None:
    """Their group is at work while one changes; a change of all at once would outlast the last one's patience."""
    users = {user.logical_id: user for user in fleet.resources(USER)}
    order = [fleet.followed("cache", user).logical_id for user in fleet.one(USER_GROUP)["UserIds"]]
    assert len(order) == len(users) > 2
    for before, after in itertools.pairwise(order):
        assert before in users[after].body["DependsOn"]


def test_slow_commands_and_the_engine_are_logged(small: Fleet) -> None:
    logs = {log["LogType"]: log for log in small.one(GROUP)["LogDeliveryConfigurations"]}
    assert logs.keys() == {"slow-log", "engine-log"}
    for kind, log in logs.items():
        group = small.followed("cache", log["DestinationDetails"]["CloudWatchLogsDetails"]["LogGroup"])
        assert group["LogGroupName"] == f"/elasticache/gaming-system-prod/{kind}"
    assert small.one(PARAMETERS)["Properties"]["slowlog-log-slower-than"] == "10000"


def test_each_service_that_uses_the_cache_is_a_user_that_sees_its_own_keys_alone(fleet: Fleet) -> None:
    users = {user["UserName"]: user["AccessString"] for user in fleet.resources(USER)}
    assert users.pop("default") == "off -@all"
    assert users == {service.name: access_string(service.name) for service in fleet.catalog.enabled if service.cache}
    for name, access in users.items():
        assert access.startswith(f"on ~{name}:* &{name}:* -@all ")


def test_whoever_comes_without_a_name_is_nobody_and_has_a_password_that_nobody_knows(fleet: Fleet) -> None:
    default = fleet.one(USER, UserName="default")
    assert default["AccessString"] == "off -@all"
    assert "Secret" not in default.properties
    assert (
        fleet.resources("AWS::ElastiCache::User") == []
    )  # one without a password would be refused by a group of Valkey


def test_no_template_knows_a_password(fleet: Fleet) -> None:
    text = json.dumps(fleet.templates["cache"])
    assert "resolve:secretsmanager" not in text
    assert "GenerateSecretString" not in text
    assert '"Passwords"' not in text


def test_the_cache_lets_its_users_in_and_nobody_else(small: Fleet) -> None:
    (users,) = small.one(GROUP)["UserGroupIds"]
    members = [small.followed("cache", user)["UserName"] for user in small.followed("cache", users)["UserIds"]]
    assert members == ["default", "state-manager-nats"]


def test_every_password_is_changed_by_the_function_and_never_by_an_update_of_the_stack(fleet: Fleet) -> None:
    function = fleet.one(FUNCTION, FunctionName=f"gaming-system-{fleet.environment.name}-cache-passwords")
    secrets = {secret.logical_id for secret in fleet.resources(SECRET) if secret.part == "cache"}
    rotations = fleet.resources(ROTATION)
    assert {fleet.followed("cache", rotation["SecretId"]).logical_id for rotation in rotations} == secrets
    for rotation in rotations:
        assert fleet.followed("cache", rotation["RotationLambdaARN"]).logical_id == function.logical_id
        assert rotation["RotationRules"] == {"AutomaticallyAfterDays": 30}
        assert rotation["RotateImmediatelyOnUpdate"] is False


def test_a_rotation_waits_for_the_cache_that_it_is_tried_at(small: Fleet) -> None:
    rotation = small.one(ROTATION)
    needed = set(rotation.body["DependsOn"])
    assert small.one(GROUP).logical_id in needed
    assert small.one(FUNCTION, FunctionName="gaming-system-prod-cache-probe").logical_id in needed
    assert small.one("AWS::Lambda::Permission", part="cache").logical_id in needed


def test_the_function_keeps_passwords_and_users_and_nothing_else(small: Fleet) -> None:
    function = small.one(FUNCTION, FunctionName="gaming-system-prod-cache-passwords")
    role = small.followed("cache", function["Role"])
    (policy,) = role["Policies"]
    actions = {
        action
        for statement in small.plain("cache", policy["PolicyDocument"]["Statement"])
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert {action.partition(":")[0] for action in actions} == {
        "logs",
        "secretsmanager",
        "elasticache",
        "lambda",
        "iam",
    }
    assert not {"secretsmanager:DeleteSecret", "elasticache:ModifyReplicationGroup"} & actions


def test_the_function_may_make_elasticaches_own_role_and_no_other(small: Fleet) -> None:
    """In an account without a cache so far, ElastiCache makes it with the first user, by the right of whoever asks."""
    function = small.one(FUNCTION, FunctionName="gaming-system-prod-cache-passwords")
    (policy,) = small.followed("cache", function["Role"])["Policies"]
    (statement,) = (
        statement
        for statement in small.plain("cache", policy["PolicyDocument"]["Statement"])
        if "iam:" in str(statement["Action"])
    )
    assert statement["Action"] == "iam:CreateServiceLinkedRole"
    assert statement["Resource"].endswith(
        ":role/aws-service-role/elasticache.amazonaws.com/AWSServiceRoleForElastiCache"
    )
    assert statement["Condition"] == {"StringEquals": {"iam:AWSServiceName": "elasticache.amazonaws.com"}}


def test_the_probe_stands_with_the_caches_clients_and_may_do_nothing_in_aws(small: Fleet) -> None:
    probe = small.one(FUNCTION, FunctionName="gaming-system-prod-cache-probe")
    (group,) = probe["VpcConfig"]["SecurityGroupIds"]
    assert "CacheClient" in small.text("cache", group)
    role = small.followed("cache", probe["Role"])
    (policy,) = role["Policies"]
    sids = {statement["Sid"] for statement in small.plain("cache", policy["PolicyDocument"]["Statement"])}
    assert sids == {"Log", "StandInNetwork"}


def test_passwords_are_tried_in_every_environment() -> None:
    environments = ("prod", "staging", "dev", "local")
    functions = [
        small_fleet(name).one(FUNCTION, FunctionName=f"gaming-system-{name}-cache-passwords") for name in environments
    ]
    assert all("PROBE_FUNCTION" in function["Environment"]["Variables"] for function in functions)


@pytest.mark.parametrize(
    ("environment", "members"), [("prod", {"001", "002"}), ("staging", {"001", "002"}), ("dev", {"001"})]
)
def test_every_node_is_watched(environment: str, members: set[str]) -> None:
    fleet = small_fleet(environment)
    alarms = alarms_of(fleet)
    nodes = {d["Value"] for a in alarms for d in a["Dimensions"] if d["Name"] == "CacheClusterId"}
    assert nodes == {f"gaming-system-{environment}-{member}" for member in members}
    assert {d["Value"] for a in alarms for d in a["Dimensions"] if d["Name"] != "CacheClusterId"} == {"0001"}
    kinds = 7 if len(members) > 1 else 6  # one on its own is behind nobody
    assert len(alarms) == kinds * len(members)
    cache = fleet.environment.cache
    assert {alarm["AlarmName"] for alarm in alarms} == {
        *names.cache_alarms(cache.members, environment, is_burstable=cache.is_burstable)
    }


def alarms_of(fleet: Fleet) -> list[Resource]:
    return [a for a in fleet.resources("AWS::CloudWatch::Alarm") if a["AlarmName"].startswith("platform-cache-")]


@pytest.mark.parametrize(
    ("node_type", "metric", "threshold"),
    [
        ("cache.t4g.medium", "CPUUtilization", 45),
        ("cache.m7g.large", "CPUUtilization", 45),
        ("cache.m7g.xlarge", "EngineCPUUtilization", 80),
        ("cache.r7g.16xlarge", "EngineCPUUtilization", 80),
    ],
)
def test_of_a_node_with_two_processors_the_whole_machine_is_watched(
    node_type: str, metric: str, threshold: float
) -> None:
    (alarm,) = (
        a for a in alarms_of(with_cache(node_type=node_type)) if a["AlarmName"] == "platform-cache-cpu-001-prod"
    )
    assert (alarm["MetricName"], alarm["Statistic"], alarm["Threshold"]) == (metric, "Average", threshold)
    assert (alarm["Period"], alarm["DatapointsToAlarm"], alarm["EvaluationPeriods"]) == (60, 3, 5)


@pytest.mark.parametrize(("node_type", "count"), [("cache.t4g.medium", 2), ("cache.m7g.large", 0)])
def test_a_node_that_slows_down_without_credits_is_watched_for_an_hour_without_them(node_type: str, count: int) -> None:
    """ElastiCache sells a burstable node no more credits than it earns, and one that is new has none."""
    alarms = [a for a in alarms_of(with_cache(node_type=node_type)) if "cpu-credits" in a["AlarmName"]]
    assert len(alarms) == count
    for alarm in alarms:
        assert (alarm["MetricName"], alarm["ComparisonOperator"]) == ("CPUCreditBalance", "LessThanThreshold")
        assert alarm["Period"] == 300, "CloudWatch has no finer figure"
        assert alarm["Period"] * alarm["DatapointsToAlarm"] == alarm["Period"] * alarm["EvaluationPeriods"] == 3600
        earned_in_half_an_hour_by_the_smallest = 6
        assert alarm["Threshold"] < earned_in_half_an_hour_by_the_smallest


@pytest.mark.parametrize(
    ("kind", "metric", "statistic", "threshold"),
    [
        ("memory", "DatabaseMemoryUsagePercentage", "Average", 80),
        ("evictions", "Evictions", "Sum", 0),
        ("replication-lag", "ReplicationLag", "Maximum", 10),
        ("connections", "CurrConnections", "Maximum", 10_000),
        ("authentication-failures", "AuthenticationFailures", "Sum", 0),
    ],
)
def test_each_alarm_watches_what_it_is_named_after(
    prod: Fleet, kind: str, metric: str, statistic: str, threshold: float
) -> None:
    (alarm,) = (a for a in alarms_of(prod) if a["AlarmName"].startswith(f"platform-cache-{kind}-002-"))
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/ElastiCache", metric, statistic)
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("GreaterThanThreshold", threshold)
    assert alarm["TreatMissingData"] == "notBreaching", "a node that is being replaced wakes nobody"
