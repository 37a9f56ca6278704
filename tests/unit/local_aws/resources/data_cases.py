"""The lives of the types that keep data or code: S3, Systems Manager, ElastiCache, Lambda, and the records."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from local_aws.resources.contract import Made
from tests.unit.local_aws.resources.case import Case
from tests.unit.local_aws.resources.world import ACCOUNT, REGION, World, archive, as_json, document, server_logs


def _by_key(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


_BUCKET_PARTS = {
    "Versioning": ("get_bucket_versioning", "Status"),
    "Encryption": ("get_bucket_encryption", "ServerSideEncryptionConfiguration"),
    "Public": ("get_public_access_block", "PublicAccessBlockConfiguration"),
    "Ownership": ("get_bucket_ownership_controls", "OwnershipControls"),
    "Lifecycle": ("get_bucket_lifecycle_configuration", "Rules"),
    "Logging": ("get_bucket_logging", "LoggingEnabled"),
    "Topics": ("get_bucket_notification_configuration", "TopicConfigurations"),
    "Cors": ("get_bucket_cors", "CORSRules"),
}


def _bucket(world: World, made: Made) -> dict[str, Any]:
    s3 = world.client("s3")
    s3.head_bucket(Bucket=made.physical_id)
    found = {}
    for part, (operation, member) in _BUCKET_PARTS.items():
        try:
            found[part] = getattr(s3, operation)(Bucket=made.physical_id).get(member)
        except ClientError:
            found[part] = None
    return found


def _bucket_tags(world: World, made: Made) -> dict[str, str]:
    return _by_key(world.client("s3").get_bucket_tagging(Bucket=made.physical_id)["TagSet"])


def _parameter(world: World, made: Made) -> Any:
    ssm = world.client("ssm")
    described = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Values": [made.physical_id]}])["Parameters"]
    return {**described[0], **ssm.get_parameter(Name=made.physical_id)["Parameter"]} if described else None


def _ssm_tags(kind: str) -> Any:
    def look(world: World, made: Made) -> dict[str, str]:
        return _by_key(
            world.client("ssm").list_tags_for_resource(ResourceType=kind, ResourceId=made.physical_id)["TagList"]
        )

    return look


def _ssm_document(world: World, made: Made) -> dict[str, Any]:
    ssm = world.client("ssm")
    return {
        **ssm.describe_document(Name=made.physical_id)["Document"],
        "Content": as_json(ssm.get_document(Name=made.physical_id)["Content"]),
    }


def _cache_tags(kind: str) -> Any:
    def look(world: World, made: Made) -> dict[str, str]:
        arn = f"arn:aws:elasticache:{REGION}:{ACCOUNT}:{kind}:{made.physical_id}"
        return _by_key(world.client("elasticache").list_tags_for_resource(ResourceName=arn)["TagList"])

    return look


def _parameters(world: World, made: Made) -> dict[str, Any]:
    cache = world.client("elasticache")
    group = cache.describe_cache_parameter_groups(CacheParameterGroupName=made.physical_id)["CacheParameterGroups"][0]
    told = cache.describe_cache_parameters(CacheParameterGroupName=made.physical_id, Source="user")["Parameters"]
    return {**group, "Set": {parameter["ParameterName"]: parameter["ParameterValue"] for parameter in told}}


def _replication_group(world: World, made: Made) -> dict[str, Any]:
    cache = world.client("elasticache")
    group = cache.describe_replication_groups(ReplicationGroupId=made.physical_id)["ReplicationGroups"][0]
    clusters = [
        cache.describe_cache_clusters(CacheClusterId=name)["CacheClusters"][0] for name in group["MemberClusters"]
    ]
    return {**group, "Clusters": clusters}


def _function(world: World, made: Made) -> dict[str, Any]:
    client = world.client("lambda")
    found = client.get_function(FunctionName=made.physical_id)
    return {**found["Configuration"], "Reserved": found.get("Concurrency", {}).get("ReservedConcurrentExecutions")}


def _permission(world: World, made: Made) -> Any:
    for function in world.client("lambda").list_functions()["Functions"]:
        policy = as_json(world.client("lambda").get_policy(FunctionName=function["FunctionName"])["Policy"])
        return next((one for one in policy["Statement"] if one["Sid"] == made.physical_id), None)
    return None


def _layer(world: World, made: Made) -> Any:
    _, _, _, _, _, _, name, version = made.physical_id.split(":")
    return world.client("lambda").get_layer_version(LayerName=name, VersionNumber=int(version))


def _invoke_config(world: World, made: Made) -> Any:
    return world.client("lambda").get_function_event_invoke_config(FunctionName=made.physical_id.partition("|")[0])


def _version(world: World, made: Made) -> Any:
    name, version = made.physical_id.split(":")[-2:]
    versions = world.client("lambda").list_versions_by_function(FunctionName=name)["Versions"]
    return next((one for one in versions if one["Version"] == version), None)


def _function_properties(world: World) -> dict[str, Any]:
    return {
        "Handler": "index.handler",
        "Runtime": "python3.13",
        "Role": world.role().attributes["Arn"],
        "Code": world.asset(archive()),
        "Architectures": ["arm64"],
        "Timeout": 30,
        "MemorySize": 256,
        "Environment": {"Variables": {"A": "b"}},
        "EphemeralStorage": {"Size": 1024},
        "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "/fleet"},
        "DeadLetterConfig": {"TargetArn": world.topic()},
        "TracingConfig": {"Mode": "Active"},
        "ReservedConcurrentExecutions": 1,
        "VpcConfig": {"SubnetIds": world.subnets[:2], "SecurityGroupIds": [world.group()]},
    }


def _automation(handler: str) -> dict[str, Any]:
    """Return an Automation of one step that runs a script."""
    script = {"Runtime": "python3.11", "Handler": handler, "Script": f"def {handler}(events, context): ..."}
    step = {"name": "Step", "action": "aws:executeScript", "timeoutSeconds": 600, "inputs": script}
    return {"schemaVersion": "0.3", "description": "d", "mainSteps": [step]}


def _restart(command: str) -> dict[str, Any]:
    step = {"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": [command]}}
    return {"schemaVersion": "2.2", "description": "d", "mainSteps": [step]}


def _always(_world: World, made: Made) -> Any:
    return made


_TAKE_AWAY = {
    "VersioningConfiguration": None,
    "BucketEncryption": None,
    "OwnershipControls": None,
    "LifecycleConfiguration": None,
    "LoggingConfiguration": None,
    "NotificationConfiguration": None,
    "PublicAccessBlockConfiguration": None,
    "CorsConfiguration": None,
}
_BLOCK = {"BlockPublicAcls": True, "BlockPublicPolicy": True, "IgnorePublicAcls": True, "RestrictPublicBuckets": True}

CASES = (
    Case(
        type="AWS::S3::Bucket",
        properties=lambda w: {
            "VersioningConfiguration": {"Status": "Enabled"},
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "PublicAccessBlockConfiguration": _BLOCK,
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "LifecycleConfiguration": {
                "Rules": [
                    {"Id": "old", "Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": 30}},
                    {
                        "Id": "parts",
                        "Status": "Enabled",
                        "Prefix": "logs/",
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                        "ExpirationInDays": 90,
                        "Transitions": [{"StorageClass": "GLACIER", "TransitionInDays": 30}],
                    },
                ]
            },
            "LoggingConfiguration": {"DestinationBucketName": server_logs(w), "LogFilePrefix": "s3/"},
            "NotificationConfiguration": {
                "TopicConfigurations": [
                    {
                        "Event": "s3:ObjectCreated:*",
                        "Topic": w.topic(),
                        "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": "ca/"}]}},
                    }
                ]
            },
            "CorsConfiguration": {
                "CorsRules": [
                    {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "ExposedHeaders": ["ETag"], "MaxAge": 60}
                ]
            },
        },
        look=_bucket,
        seen={
            "Versioning": "Enabled",
            "Encryption": {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
            "Public": _BLOCK,
            "Ownership": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "Lifecycle": [
                {"ID": "old", "NoncurrentVersionExpiration": {"NoncurrentDays": 30}},
                {
                    "ID": "parts",
                    "Filter": {"Prefix": "logs/"},
                    "Expiration": {"Days": 90},
                    "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}],
                },
            ],
            "Logging": {"TargetPrefix": "s3/"},
            "Topics": [{"Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": [{"Value": "ca/"}]}}}],
            "Cors": [{"AllowedMethods": ["GET"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60}],
        },
        change=lambda _: _TAKE_AWAY,
        then={
            "Versioning": "Suspended",
            "Lifecycle": None,
            "Logging": None,
            "Topics": None,
            "Cors": None,
            "Public": None,
        },
        tags=_bucket_tags,
        attributes={
            "Arn": lambda value: value.startswith("arn:aws:s3:::fleet-thing-"),
            "RegionalDomainName": lambda value: value.endswith(f".s3.{REGION}.amazonaws.com"),
        },
    ),
    Case(
        type="AWS::S3::BucketPolicy",
        properties=lambda w: {
            "Bucket": w.bucket("guarded"),
            "PolicyDocument": document(
                {
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": "*",
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ),
        },
        look=lambda w, m: as_json(w.client("s3").get_bucket_policy(Bucket=m.physical_id)["Policy"]),
        seen={"Statement": [{"Effect": "Deny"}]},
        change=lambda _: {
            "PolicyDocument": document({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"})
        },
        then={"Statement": [{"Effect": "Allow"}]},
    ),
    Case(
        type="AWS::SSM::Parameter",
        properties=lambda _: {
            "Name": "/gaming-system/local/email",
            "Type": "String",
            "Value": "a@example.com",
            "Description": "d",
        },
        look=_parameter,
        seen={"Value": "a@example.com", "Type": "String", "Description": "d"},
        change=lambda _: {"Value": "b@example.com"},
        then={"Value": "b@example.com", "Version": 2},
        tags=_ssm_tags("Parameter"),
        attributes={
            "Type": "String",
            "Value": "a@example.com",
            "Arn": f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/gaming-system/local/email",
        },
    ),
    Case(
        type="AWS::SSM::Document",
        properties=lambda _: {
            "Name": "roll-node",
            "DocumentType": "Command",
            "Content": _restart("true"),
            "UpdateMethod": "NewVersion",
        },
        look=_ssm_document,
        seen={"DocumentType": "Command", "Content": _restart("true")},
        change=lambda _: {"Content": _restart("false")},
        then={"Content": _restart("false"), "DefaultVersion": "2"},
        tags=_ssm_tags("Document"),
    ),
    Case(
        type="AWS::SSM::Document",
        name="automation",
        properties=lambda _: {
            "Name": "roll",
            "DocumentType": "Automation",
            "Content": _automation("one"),
            "UpdateMethod": "NewVersion",
        },
        look=_ssm_document,
        seen={"DocumentType": "Automation", "Content": _automation("one")},
        change=lambda _: {"Content": _automation("two")},
        then={"Content": _automation("two"), "DefaultVersion": "2"},
        tags=_ssm_tags("Document"),
    ),
    Case(
        type="AWS::SSM::Association",
        properties=lambda w: {
            "Name": w.make(
                "AWS::SSM::Document", Name="needed", DocumentType="Command", Content=_restart("true")
            ).physical_id,
            "Targets": [{"Key": "tag:role", "Values": ["nats"]}],
            "Parameters": {"commands": ["true"]},
            "ScheduleExpression": "rate(1 hour)",
        },
        look=lambda w, m: w.client("ssm").describe_association(AssociationId=m.physical_id)["AssociationDescription"],
        seen={
            "Name": "needed",
            "ScheduleExpression": "rate(1 hour)",
            "Overview": {"Status": "Pending"},
            "Parameters": {"commands": ["true"]},
        },
        change=lambda _: {"ScheduleExpression": "rate(2 hours)", "Parameters": None},
        then={"ScheduleExpression": "rate(2 hours)", "Parameters": None, "AssociationVersion": "2"},
        tags=_ssm_tags("Association"),
    ),
    Case(
        type="AWS::ElastiCache::SubnetGroup",
        properties=lambda w: {"Description": "cache", "SubnetIds": w.subnets[:2], "CacheSubnetGroupName": "Cache"},
        look=lambda w, m: w.client("elasticache").describe_cache_subnet_groups(CacheSubnetGroupName=m.physical_id)[
            "CacheSubnetGroups"
        ][0],
        seen={
            "CacheSubnetGroupName": "cache",
            "CacheSubnetGroupDescription": "cache",
            "Subnets": lambda value: len(value) == 2,
        },
        change=lambda w: {"Description": "all", "SubnetIds": w.subnets},
        then={"CacheSubnetGroupDescription": "all", "Subnets": lambda value: len(value) == 3},
        tags=_cache_tags("subnetgroup"),
    ),
    Case(
        type="AWS::ElastiCache::ParameterGroup",
        properties=lambda _: {
            "CacheParameterGroupFamily": "valkey8",
            "Description": "fleet",
            "Properties": {"maxmemory-policy": "allkeys-lru", "timeout": "300"},
        },
        look=_parameters,
        seen={
            "CacheParameterGroupFamily": "valkey8",
            "Description": "fleet",
            "Set": {"maxmemory-policy": "allkeys-lru", "timeout": "300"},
        },
        change=lambda _: {"Properties": {"maxmemory-policy": "noeviction"}},
        then={"Set": lambda value: value == {"maxmemory-policy": "noeviction"}},
        tags=_cache_tags("parametergroup"),
    ),
    Case(
        type="AWS::ElastiCache::User",
        properties=lambda _: {
            "UserId": "Player",
            "UserName": "player",
            "Engine": "valkey",
            "AccessString": "on ~player:* +@all",
            "AuthenticationMode": {"Type": "iam"},
        },
        look=lambda w, m: w.client("elasticache").describe_users(UserId=m.physical_id)["Users"][0],
        seen={"UserId": "player", "AccessString": "on ~player:* +@all", "Authentication": {"Type": "iam"}},
        change=lambda _: {
            "AccessString": "on ~player:* +@read",
            "AuthenticationMode": {"Type": "password", "Passwords": ["a-very-long-password"]},
        },
        then={"AccessString": "on ~player:* +@read", "Authentication": {"Type": "password", "PasswordCount": 1}},
        tags=_cache_tags("user"),
        attributes={"Arn": f"arn:aws:elasticache:{REGION}:{ACCOUNT}:user:player", "Status": "active"},
    ),
    Case(
        type="AWS::ElastiCache::UserGroup",
        properties=lambda w: {
            "UserGroupId": "services",
            "Engine": "valkey",
            "UserIds": [w.cache_user("a"), w.cache_user("b")],
        },
        look=lambda w, m: w.client("elasticache").describe_user_groups(UserGroupId=m.physical_id)["UserGroups"][0],
        seen={"UserIds": ["a", "b"], "Status": "active", "Engine": "valkey"},
        change=lambda w: {"UserIds": ["b", w.cache_user("c")]},
        then={"UserIds": ["b", "c"]},
        tags=_cache_tags("usergroup"),
        attributes={"Arn": f"arn:aws:elasticache:{REGION}:{ACCOUNT}:usergroup:services"},
    ),
    Case(
        type="AWS::ElastiCache::ReplicationGroup",
        properties=lambda w: {
            "ReplicationGroupId": "cache",
            "ReplicationGroupDescription": "fleet",
            "Engine": "valkey",
            "EngineVersion": "8.1",
            "CacheNodeType": "cache.t4g.small",
            "NumNodeGroups": 1,
            "ReplicasPerNodeGroup": 1,
            "CacheSubnetGroupName": w.cache_subnets,
            "CacheParameterGroupName": "default.valkey8",
            "SecurityGroupIds": [w.group()],
            "UserGroupIds": [
                w.make(
                    "AWS::ElastiCache::UserGroup", UserGroupId="a", Engine="valkey", UserIds=[w.cache_user("u")]
                ).physical_id
            ],
            "TransitEncryptionEnabled": True,
            "AtRestEncryptionEnabled": True,
            "AutomaticFailoverEnabled": True,
            "MultiAZEnabled": True,
            "SnapshotRetentionLimit": 7,
        },
        look=_replication_group,
        seen={
            "Status": "available",
            "Engine": "valkey",
            "MultiAZ": "enabled",
            "AutomaticFailover": "enabled",
            "TransitEncryptionEnabled": True,
            "AtRestEncryptionEnabled": True,
            "UserGroupIds": ["a"],
            "MemberClusters": ["cache-001", "cache-002"],
            "NodeGroups": [
                {
                    "NodeGroupMembers": [
                        {"PreferredAvailabilityZone": "us-east-1a"},
                        {"PreferredAvailabilityZone": "us-east-1b"},
                    ]
                }
            ],
            "Clusters": [
                {
                    "EngineVersion": "8.1",
                    "CacheParameterGroup": {"CacheParameterGroupName": "default.valkey8"},
                    "SecurityGroups": [{"Status": "active"}],
                },
                {"CacheSubnetGroupName": "subnets"},
            ],
        },
        change=lambda w: {
            "CacheNodeType": "cache.t4g.medium",
            "ReplicasPerNodeGroup": 2,
            "CacheParameterGroupName": w.make(
                "AWS::ElastiCache::ParameterGroup", CacheParameterGroupFamily="valkey8", Description="d"
            ).physical_id,
            "UserGroupIds": [],
            "SecurityGroupIds": [w.group("x"), w.group("y")],
        },
        then={
            "CacheNodeType": "cache.t4g.medium",
            "UserGroupIds": [],
            "MemberClusters": ["cache-001", "cache-002", "cache-003"],
            "Clusters": [
                {"CacheNodeType": "cache.t4g.medium", "SecurityGroups": [{"Status": "active"}, {"Status": "active"}]},
                {"CacheParameterGroup": {"CacheParameterGroupName": lambda value: value.startswith("fleet-needed-")}},
                {"PreferredAvailabilityZone": "us-east-1c"},
            ],
        },
        tags=_cache_tags("replicationgroup"),
        attributes={
            "PrimaryEndPoint.Address": lambda value: value.startswith("master.cache."),
            "PrimaryEndPoint.Port": "6379",
            "ReaderEndPoint.Address": lambda value: value.startswith("replica.cache."),
            "ReadEndPoint.AddressesList": lambda value: len(value) == 2,
        },
        without=frozenset({"ConfigurationEndPoint"}),
    ),
    Case(
        type="AWS::ElastiCache::ReplicationGroup",
        properties=lambda w: {
            "ReplicationGroupDescription": "sharded",
            "Engine": "valkey",
            "NumNodeGroups": 2,
            "ReplicasPerNodeGroup": 1,
            "CacheParameterGroupName": "default.valkey8.cluster.on",
            "CacheSubnetGroupName": w.cache_subnets,
        },
        look=_replication_group,
        seen={
            "ClusterEnabled": True,
            "NodeGroups": [{"Slots": "0-8191"}, {"Slots": "8192-16383"}],
            "ConfigurationEndpoint": {"Port": 6379},
        },
        change=lambda _: {"NumNodeGroups": 4, "ReplicationGroupDescription": "more"},
        then={"Description": "more", "NodeGroups": lambda value: len(value) == 4},
        attributes={
            "ConfigurationEndPoint.Address": lambda value: value.startswith("clustercfg."),
            "ConfigurationEndPoint.Port": "6379",
        },
        without=frozenset({"PrimaryEndPoint", "ReaderEndPoint"}),
        name="sharded",
    ),
    Case(
        type="AWS::Lambda::Function",
        properties=_function_properties,
        look=_function,
        seen={
            "Runtime": "python3.13",
            "Architectures": ["arm64"],
            "Timeout": 30,
            "Environment": {"Variables": {"A": "b"}},
            "EphemeralStorage": {"Size": 1024},
            "LoggingConfig": {"LogGroup": "/fleet"},
            "DeadLetterConfig": {"TargetArn": lambda value: value.endswith(":topic")},
            "TracingConfig": {"Mode": "Active"},
            "Reserved": 1,
            "VpcConfig": {"SubnetIds": lambda value: len(value) == 2},
        },
        change=lambda w: {
            "Timeout": 60,
            "Environment": None,
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/other"},
            "ReservedConcurrentExecutions": None,
            "Code": w.asset(archive("def handler(event, context):\n    return 2\n"), "second.zip"),
        },
        then={
            "Timeout": 60,
            "Environment": lambda value: not value,
            "LoggingConfig": {"LogGroup": "/other"},
            "Reserved": None,
        },
        tags=lambda w, m: w.client("lambda").list_tags(Resource=m.attributes["Arn"])["Tags"],
        attributes={"Arn": lambda value: value.startswith(f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:fleet-Thing-")},
    ),
    Case(
        type="AWS::Lambda::Version",
        properties=lambda w: {"FunctionName": w.function().physical_id, "Description": "first"},
        look=_version,
        seen={"Version": "1", "Description": "first"},
        attributes={"Version": "1"},
    ),
    Case(
        type="AWS::Lambda::Permission",
        properties=lambda w: {
            "FunctionName": w.function().attributes["Arn"],
            "Action": "lambda:InvokeFunction",
            "Principal": "events.amazonaws.com",
            "SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/renewal",
        },
        look=_permission,
        seen={"Action": "lambda:InvokeFunction", "Principal": {"Service": "events.amazonaws.com"}},
    ),
    Case(
        type="AWS::Lambda::LayerVersion",
        properties=lambda w: {
            "Content": w.asset(archive("X = 1\n", "python/shared.py")),
            "CompatibleRuntimes": ["python3.13"],
            "Description": "shared",
        },
        look=_layer,
        seen={"Description": "shared", "CompatibleRuntimes": ["python3.13"]},
    ),
    Case(
        type="AWS::Lambda::EventInvokeConfig",
        properties=lambda w: {
            "FunctionName": w.function().physical_id,
            "Qualifier": "$LATEST",
            "MaximumRetryAttempts": 0,
        },
        look=_invoke_config,
        seen={"MaximumRetryAttempts": 0},
        change=lambda _: {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60},
        then={"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60},
    ),
    *(
        Case(
            type=type_name,
            properties=lambda _, first=first: first,  # type: ignore[misc]
            look=_always,
            seen=lambda made: bool(made.physical_id),
            change=lambda _, change=change: change,  # type: ignore[misc]
            then=bool,
            remains=bool,
            tags=(lambda _, made: dict(made.tags)) if type_name == "AWS::DLM::LifecyclePolicy" else None,
        )
        for type_name, first, change in (
            ("AWS::CDK::Metadata", {"Analytics": "v2:deflate64:a"}, {"Analytics": "v2:deflate64:b"}),
            ("AWS::DLM::LifecyclePolicy", {"Description": "a", "State": "ENABLED"}, {"Description": "b"}),
            ("AWS::Logs::QueryDefinition", {"Name": "a", "QueryString": "fields @message"}, {"Name": "b"}),
        )
    ),
)
