"""What moto does otherwise than AWS is mended, as far as the types' own tests do not show it."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.core.base_backend import BackendDict
from moto.core.routing import ServiceOperationRouter
from moto.elasticache.models import elasticache_backends
from moto.ssm.models import ssm_backends

from local_aws.resources import moto_repairs
from local_aws.resources.registry import handler_for
from tests.unit.local_aws.resources.world import (
    ACCOUNT,
    REGION,
    StackContext,
    World,
    another_instance,
    document,
    server_logs,
)


def refused(code: str) -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)")


def test_a_bucket_that_refuses_plain_http_takes_uploads(world: World) -> None:
    bucket = world.bucket("assets")
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    world.make("AWS::S3::BucketPolicy", Bucket=bucket, PolicyDocument=document(deny))
    world.client("s3").put_object(Bucket=bucket, Key="a", Body=b"b")


def test_a_denial_without_a_condition_still_denies(world: World) -> None:
    bucket = world.bucket("closed")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::closed/*"}
    world.make("AWS::S3::BucketPolicy", Bucket=bucket, PolicyDocument=document(deny))
    with refused("403"):
        world.client("s3").put_object(Bucket=bucket, Key="a", Body=b"b")


def test_requests_to_a_bucket_are_not_logged_into_another(world: World) -> None:
    s3 = world.client("s3")
    logs = server_logs(world)
    world.make("AWS::S3::Bucket", BucketName="watched", LoggingConfiguration={"DestinationBucketName": logs})
    s3.put_object(Bucket="watched", Key="a", Body=b"b")
    assert s3.get_bucket_logging(Bucket="watched")["LoggingEnabled"]["TargetBucket"] == logs
    assert s3.list_objects_v2(Bucket=logs)["KeyCount"] == 0


@pytest.mark.parametrize(("prefix", "taken"), [("one/", True), ("two/", True), ("three/", False)])
def test_logs_go_where_a_statement_about_several_prefixes_lets_them(world: World, prefix: str, *, taken: bool) -> None:
    logs = world.bucket("logs")
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": [f"arn:aws:s3:::{logs}/one/*", f"arn:aws:s3:::{logs}/two/*"],
    }
    world.make("AWS::S3::BucketPolicy", Bucket=logs, PolicyDocument=document(statement))
    logging = {"DestinationBucketName": logs, "LogFilePrefix": prefix}

    if taken:
        world.make("AWS::S3::Bucket", BucketName="watched", LoggingConfiguration=logging)
        assert world.client("s3").get_bucket_logging(Bucket="watched")["LoggingEnabled"]["TargetPrefix"] == prefix
    else:
        with refused("InvalidTargetBucketForLogging"):
            world.make("AWS::S3::Bucket", BucketName="watched", LoggingConfiguration=logging)


def test_a_command_that_nobody_carries_out_is_not_delivered(world: World) -> None:
    ssm = world.client("ssm")
    others = another_instance(world)
    command = ssm.send_command(
        InstanceIds=[world.instance], DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]}
    )
    known_as = command["Command"]["CommandId"]
    told = ssm.list_commands(CommandId=known_as)["Commands"][0]
    assert (told["Status"], told["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
    assert (told["TargetCount"], told["CompletedCount"], told["DeliveryTimedOutCount"]) == (1, 0, 1)
    seen = ssm.get_command_invocation(CommandId=known_as, InstanceId=world.instance)
    assert (seen["Status"], seen["StatusDetails"], seen["ResponseCode"]) == ("TimedOut", "DeliveryTimedOut", -1)
    with refused("InvocationDoesNotExist"):
        ssm.get_command_invocation(CommandId=known_as, InstanceId=others)


def test_an_alarm_keeps_its_state_when_it_is_put_again(world: World) -> None:
    cloudwatch = world.client("cloudwatch")
    alarm = {"AlarmName": "a", "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 1.0}
    cloudwatch.put_metric_alarm(**alarm)
    cloudwatch.set_alarm_state(AlarmName="a", StateValue="ALARM", StateReason="tried")
    cloudwatch.put_metric_alarm(**{**alarm, "Threshold": 2.0})
    found = cloudwatch.describe_alarms(AlarmNames=["a"])["MetricAlarms"][0]
    assert (found["StateValue"], found["StateReason"], found["Threshold"]) == ("ALARM", "tried", 2.0)


def test_a_cluster_counts_the_tasks_of_its_services_once(world: World) -> None:
    world.service("one")
    world.service("two")
    ecs = world.client("ecs")
    ecs.update_service(cluster="cluster", service="one", desiredCount=5)
    ecs.update_service(cluster="cluster", service="two", taskDefinition=world.task_definition("next"))
    cluster = ecs.describe_clusters(clusters=["cluster"])["clusters"][0]
    assert (cluster["runningTasksCount"], cluster["pendingTasksCount"]) == (0, 7)


def test_a_deleted_service_is_no_longer_listed(world: World) -> None:
    world.service("gone")
    ecs = world.client("ecs")
    ecs.delete_service(cluster="cluster", service="gone", force=True)
    assert ecs.list_services(cluster="cluster")["serviceArns"] == []
    assert ecs.describe_services(cluster="cluster", services=["gone"])["services"][0]["status"] == "INACTIVE"


def test_a_deleted_cluster_is_no_longer_listed(world: World) -> None:
    ecs = world.client("ecs")
    ecs.delete_cluster(cluster=world.cluster)
    assert ecs.list_clusters()["clusterArns"] == []


def test_a_terminated_instance_leaves_only_the_interface_that_it_was_given(world: World) -> None:
    ec2 = world.client("ec2")
    given = world.make("AWS::EC2::NetworkInterface", SubnetId=world.subnets[0]).physical_id
    image = {"ImageId": world.image, "MinCount": 1, "MaxCount": 1}
    instances = [
        ec2.run_instances(**image, SubnetId=world.subnets[0]),
        ec2.run_instances(**image, NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": world.subnets[1]}]),
        ec2.run_instances(**image, NetworkInterfaces=[{"DeviceIndex": 0, "NetworkInterfaceId": given}]),
    ]
    assert len(ec2.describe_network_interfaces()["NetworkInterfaces"]) == 3
    ec2.terminate_instances(InstanceIds=[one["Instances"][0]["InstanceId"] for one in instances])
    left = ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert [(one["NetworkInterfaceId"], one["Status"]) for one in left] == [(given, "available")]


def test_a_machine_of_a_group_is_what_its_version_of_the_template_says(world: World) -> None:
    ec2 = world.client("ec2")
    interface = world.make(
        "AWS::EC2::NetworkInterface", SubnetId=world.subnets[0], PrivateIpAddress="10.0.0.44"
    ).physical_id
    profile = world.make("AWS::IAM::InstanceProfile", Roles=[world.role("ec2.amazonaws.com").physical_id])
    data = {
        "ImageId": world.image,
        "InstanceType": "t4g.small",
        "IamInstanceProfile": {"Arn": profile.attributes["Arn"]},
        "NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": interface}],
        "MetadataOptions": {"HttpTokens": "required"},
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "nats-1"}]}],
    }
    template = world.make(
        "AWS::EC2::LaunchTemplate", LaunchTemplateData={"ImageId": world.image, "InstanceType": "t3.micro"}
    ).physical_id
    ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData=data)
    world.make(
        "AWS::AutoScaling::AutoScalingGroup",
        LaunchTemplate={"LaunchTemplateId": template, "Version": "2"},
        MinSize="1",
        MaxSize="1",
        VPCZoneIdentifier=world.subnets[:1],
    )
    machine = ec2.describe_instances()["Reservations"][0]["Instances"][0]
    assert machine["InstanceType"] == "t4g.small"
    assert machine["PrivateIpAddress"] == "10.0.0.44"
    assert [one["NetworkInterfaceId"] for one in machine["NetworkInterfaces"]] == [interface]
    assert machine["IamInstanceProfile"]["Arn"] == profile.attributes["Arn"]
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert {"Key": "Name", "Value": "nats-1"} in machine["Tags"]


def test_a_terminated_instance_takes_the_volumes_of_its_template_along(world: World) -> None:
    ec2 = world.client("ec2")
    mappings = [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}},
        {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 9, "DeleteOnTermination": False}},
    ]
    data = {"ImageId": world.image, "BlockDeviceMappings": mappings}
    template = world.make("AWS::EC2::LaunchTemplate", LaunchTemplateData=data).physical_id
    started = ec2.run_instances(
        LaunchTemplate={"LaunchTemplateId": template}, MinCount=1, MaxCount=1, SubnetId=world.subnets[0]
    )
    assert sorted(volume["Size"] for volume in ec2.describe_volumes()["Volumes"]) == [8, 9]
    ec2.terminate_instances(InstanceIds=[started["Instances"][0]["InstanceId"]])
    assert [volume["Size"] for volume in ec2.describe_volumes()["Volumes"]] == [9]


def test_a_metric_filter_that_is_put_again_replaces_itself(world: World) -> None:
    logs = world.client("logs")
    group = world.log_group()
    transformation = {"metricName": "m", "metricNamespace": "n", "metricValue": "1"}
    for pattern in ("ERROR", "WARN"):
        logs.put_metric_filter(
            logGroupName=group, filterName="f", filterPattern=pattern, metricTransformations=[transformation]
        )
    assert [one["filterPattern"] for one in logs.describe_metric_filters(logGroupName=group)["metricFilters"]] == [
        "WARN"
    ]


class TestElastiCache:
    def test_aws_s_own_parameter_groups_are_there_and_fixed(self, world: World) -> None:
        cache = world.client("elasticache")
        names = [
            group["CacheParameterGroupName"]
            for group in cache.describe_cache_parameter_groups()["CacheParameterGroups"]
        ]
        assert {"default.valkey8", "default.valkey8.cluster.on", "default.redis7"} <= set(names)
        with refused("InvalidCacheParameterGroupState"):
            cache.delete_cache_parameter_group(CacheParameterGroupName="default.valkey8")

    def test_a_parameter_has_its_default_until_it_is_set(self, world: World) -> None:
        cache = world.client("elasticache")
        name = world.make(
            "AWS::ElastiCache::ParameterGroup", CacheParameterGroupFamily="valkey8", Description="d"
        ).physical_id

        def told() -> tuple[str, str]:
            found = cache.describe_cache_parameters(CacheParameterGroupName=name)["Parameters"]
            return next(
                (one["ParameterValue"], one["Source"]) for one in found if one["ParameterName"] == "maxmemory-policy"
            )

        assert told() == ("volatile-lru", "system")
        values = [{"ParameterName": "maxmemory-policy", "ParameterValue": "noeviction"}]
        cache.modify_cache_parameter_group(CacheParameterGroupName=name, ParameterNameValues=values)
        assert told() == ("noeviction", "user")
        cache.reset_cache_parameter_group(CacheParameterGroupName=name, ResetAllParameters=True)
        assert told() == ("volatile-lru", "system")

    @pytest.mark.parametrize(
        ("operation", "arguments", "code"),
        [
            ("describe_cache_parameters", {"CacheParameterGroupName": "none"}, "CacheParameterGroupNotFound"),
            (
                "create_cache_parameter_group",
                {"CacheParameterGroupName": "a", "CacheParameterGroupFamily": "valkey0", "Description": "d"},
                "InvalidParameterValue",
            ),
            (
                "create_cache_parameter_group",
                {
                    "CacheParameterGroupName": "default.valkey8",
                    "CacheParameterGroupFamily": "valkey8",
                    "Description": "d",
                },
                "CacheParameterGroupAlreadyExists",
            ),
            ("describe_user_groups", {"UserGroupId": "none"}, "UserGroupNotFound"),
            ("create_user_group", {"UserGroupId": "a", "Engine": "valkey", "UserIds": ["none"]}, "UserNotFound"),
            ("modify_user", {"UserId": "none", "AccessString": "on"}, "UserNotFound"),
            ("modify_cache_subnet_group", {"CacheSubnetGroupName": "none"}, "CacheSubnetGroupNotFoundFault"),
            ("delete_replication_group", {"ReplicationGroupId": "none"}, "ReplicationGroupNotFoundFault"),
            (
                "create_replication_group",
                {"ReplicationGroupId": "a", "ReplicationGroupDescription": "d", "CacheParameterGroupName": "none"},
                "CacheParameterGroupNotFound",
            ),
            (
                "create_replication_group",
                {"ReplicationGroupId": "a", "ReplicationGroupDescription": "d", "UserGroupIds": ["none"]},
                "UserGroupNotFound",
            ),
        ],
    )
    def test_refuses_what_aws_refuses(self, world: World, operation: str, arguments: dict[str, Any], code: str) -> None:
        with refused(code):
            getattr(world.client("elasticache"), operation)(**arguments)

    def test_a_parameter_with_an_impossible_value_is_refused(self, world: World) -> None:
        properties = {
            "CacheParameterGroupFamily": "valkey8",
            "Description": "d",
            "Properties": {"maxmemory-policy": "some"},
        }
        with refused("InvalidParameterValue"):
            handler_for("AWS::ElastiCache::ParameterGroup").create(StackContext(world), properties)
        groups = world.client("elasticache").describe_cache_parameter_groups()["CacheParameterGroups"]
        assert all(group["CacheParameterGroupName"].startswith("default.") for group in groups)

    def test_what_is_in_use_cannot_be_deleted(self, world: World) -> None:
        cache = world.client("elasticache")
        parameters = world.make(
            "AWS::ElastiCache::ParameterGroup", CacheParameterGroupFamily="valkey8", Description="d"
        ).physical_id
        users = world.make(
            "AWS::ElastiCache::UserGroup", UserGroupId="a", Engine="valkey", UserIds=[world.cache_user("u")]
        ).physical_id
        world.make(
            "AWS::ElastiCache::ReplicationGroup",
            ReplicationGroupDescription="d",
            Engine="valkey",
            CacheParameterGroupName=parameters,
            CacheSubnetGroupName=world.cache_subnets,
            UserGroupIds=[users],
        )
        with refused("InvalidCacheParameterGroupState"):
            cache.delete_cache_parameter_group(CacheParameterGroupName=parameters)
        with refused("CacheSubnetGroupInUse"):
            cache.delete_cache_subnet_group(CacheSubnetGroupName=world.cache_subnets)
        with refused("InvalidUserGroupState"):
            cache.delete_user_group(UserGroupId=users)

    def test_a_user_tells_its_groups_and_leaves_them_when_it_is_deleted(self, world: World) -> None:
        cache = world.client("elasticache")
        world.make(
            "AWS::ElastiCache::UserGroup",
            UserGroupId="a",
            Engine="valkey",
            UserIds=[world.cache_user("u"), world.cache_user("v")],
        )
        assert cache.describe_users(UserId="u")["Users"][0]["UserGroupIds"] == ["a"]
        cache.delete_user(UserId="u")
        assert cache.describe_user_groups(UserGroupId="a")["UserGroups"][0]["UserIds"] == ["v"]
        with refused("UserNotFound"):
            cache.describe_users(UserId="u")

    def test_a_group_of_redis_has_a_user_named_default(self, world: World) -> None:
        cache = world.client("elasticache")
        with refused("DefaultUserRequired"):
            cache.create_user_group(UserGroupId="a", Engine="redis", UserIds=[world.cache_user("u")])
        cache.create_user_group(UserGroupId="a", Engine="redis", UserIds=["default"])

    def test_a_group_of_valkey_takes_no_user_without_a_password(self, world: World) -> None:
        world.client("elasticache").create_user(
            UserId="open", UserName="open", Engine="valkey", AccessString="off -@all", NoPasswordRequired=True
        )
        with refused("InvalidParameterValue"):
            world.client("elasticache").create_user_group(UserGroupId="group", Engine="valkey", UserIds=["open"])

    def test_two_users_of_one_name_do_not_share_a_group(self, world: World) -> None:
        cache = world.client("elasticache")
        for known_as in ("u", "v"):
            cache.create_user(
                UserId=known_as, UserName="same", Engine="valkey", AccessString="on", Passwords=["a-password-of-a-test"]
            )
        with refused("DuplicateUserName"):
            cache.create_user_group(UserGroupId="a", Engine="valkey", UserIds=["u", "v"])

    def test_a_count_of_clusters_is_a_primary_and_its_replicas(self, world: World) -> None:
        cache = world.client("elasticache")
        cache.create_replication_group(
            ReplicationGroupId="a", ReplicationGroupDescription="d", Engine="valkey", NumCacheClusters=3
        )
        assert len(cache.describe_replication_groups()["ReplicationGroups"][0]["MemberClusters"]) == 3
        with refused("NoOperationFault"):
            cache.increase_replica_count(ReplicationGroupId="a", NewReplicaCount=2, ApplyImmediately=True)
        cache.decrease_replica_count(ReplicationGroupId="a", NewReplicaCount=1, ApplyImmediately=True)
        clusters = cache.describe_cache_clusters()["CacheClusters"]
        assert [cluster["CacheClusterId"] for cluster in clusters] == ["a-001", "a-002"]


@pytest.mark.parametrize("backends", [elasticache_backends, ssm_backends], ids=["elasticache", "ssm"])
def test_what_was_added_to_a_back_end_can_be_saved(world: World, backends: BackendDict[Any]) -> None:
    world.make("AWS::ElastiCache::UserGroup", UserGroupId="a", Engine="valkey", UserIds=[world.cache_user("u")])
    world.make(
        "AWS::ElastiCache::ReplicationGroup", ReplicationGroupDescription="d", Engine="valkey", UserGroupIds=["a"]
    )
    world.make("AWS::SSM::Association", Name="AWS-RunShellScript")
    state = vars(backends[ACCOUNT][REGION])
    names = {"user_groups", "parameter_groups", "replication_groups", "cache_clusters", "state_associations"} & set(
        state
    )
    assert names
    for name in names:
        assert pickle.loads(pickle.dumps(state[name])).keys() == state[name].keys()  # noqa: S301 - our own bytes


TURN = """
import boto3, json

def handler(event, context):
    client, where = boto3.client("secretsmanager"), {"SecretId": event["SecretId"]}
    if event["Step"] == "createSecret":
        client.put_secret_value(**where, SecretString="new", VersionStages=["AWSPENDING"], ClientRequestToken=event["ClientRequestToken"])
    if event["Step"] == "finishSecret":
        versions = client.describe_secret(**where)["VersionIdsToStages"]
        (old,) = [name for name, stages in versions.items() if "AWSCURRENT" in stages]
        client.update_secret_version_stage(
            **where, VersionStage="AWSCURRENT", MoveToVersionId=event["ClientRequestToken"], RemoveFromVersionId=old
        )
"""


class TestSecretsManager:
    def schedule(self, world: World, source: str) -> str:
        secret = world.make("AWS::SecretsManager::Secret", SecretString="old").physical_id
        world.make(
            "AWS::SecretsManager::RotationSchedule",
            SecretId=secret,
            RotationLambdaARN=world.function(source, Timeout=20).attributes["Arn"],
            RotationRules={"AutomaticallyAfterDays": 30},
            RotateImmediatelyOnUpdate=False,
        )
        return secret

    def test_a_rotation_by_hand_asks_the_schedules_function_and_can_be_repeated(self, world: World) -> None:
        client, secret = world.client("secretsmanager"), self.schedule(world, TURN)
        assert "LastRotatedDate" not in client.describe_secret(SecretId=secret)
        for _ in range(2):
            client.rotate_secret(SecretId=secret)
            assert client.get_secret_value(SecretId=secret)["SecretString"] == "new"
        assert client.describe_secret(SecretId=secret)["LastRotatedDate"]

    def test_a_rotation_whose_function_fails_leaves_the_current_value(self, world: World) -> None:
        client, secret = (
            world.client("secretsmanager"),
            self.schedule(world, "def handler(event, context):\n    raise ValueError\n"),
        )
        client.rotate_secret(SecretId=secret)
        assert client.get_secret_value(SecretId=secret)["SecretString"] == "old"
        assert "LastRotatedDate" not in client.describe_secret(SecretId=secret)


def test_routes_are_made_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moto_repairs.apply()
    meeting = threading.Barrier(2)
    met: list[bool] = []

    class Slow:
        """Takes as long to be made as it takes another to come, or a moment."""

        def __init__(self, _service: object) -> None:
            try:
                meeting.wait(0.1)
            except threading.BrokenBarrierError:
                return
            met.append(True)

    monkeypatch.setattr("moto.core.routing.get_router_class", lambda _name, _protocol: Slow)
    routers = [ServiceOperationRouter(type("Service", (), {"service_name": name})()) for name in ("one", "other")]
    with ThreadPoolExecutor() as threads:
        made = list(threads.map(lambda router: router._get_router("query"), routers))  # noqa: SLF001  # what is mended

    assert [type(each) for each in made] == [Slow, Slow]
    assert met == []
