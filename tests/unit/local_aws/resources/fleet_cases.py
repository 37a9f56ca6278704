"""The lives of the types that a fleet runs on: ECS, ECR, load balancing, scaling, names."""

from __future__ import annotations

from typing import Any

from local_aws.resources.contract import Made
from tests.unit.local_aws.resources.case import Case
from tests.unit.local_aws.resources.world import ACCOUNT, REGION, World, as_json, document


def _by_key(tags: list[dict[str, str]], key: str = "Key", value: str = "Value") -> dict[str, str]:
    return {tag[key]: tag[value] for tag in tags}


def _ecs_tags(world: World, made: Made) -> dict[str, str]:
    arn = made.attributes.get("Arn", made.physical_id)
    return _by_key(world.client("ecs").list_tags_for_resource(resourceArn=arn)["tags"], "key", "value")


def _cluster(world: World, made: Made) -> Any:
    found = world.client("ecs").describe_clusters(clusters=[made.physical_id], include=["SETTINGS"])["clusters"]
    return next((cluster for cluster in found if cluster["status"] == "ACTIVE"), None)


def _capacity(world: World, _made: Made) -> Any:
    cluster = world.client("ecs").describe_clusters(clusters=["cluster"])["clusters"][0]
    return cluster if cluster["capacityProviders"] else None


def _definition(world: World, made: Made) -> Any:
    definition = world.client("ecs").describe_task_definition(taskDefinition=made.physical_id)["taskDefinition"]
    return definition if definition["status"] == "ACTIVE" else None


def _service(world: World, made: Made) -> Any:
    ecs = world.client("ecs")
    if made.physical_id not in ecs.list_services(cluster="cluster")["serviceArns"]:
        return None
    return ecs.describe_services(cluster="cluster", services=[made.physical_id])["services"][0]


def _repository(world: World, made: Made) -> Any:
    ecr = world.client("ecr")
    repository = ecr.describe_repositories(repositoryNames=[made.physical_id])["repositories"][0]
    for operation, part, failure in (
        ("get_lifecycle_policy", "lifecyclePolicyText", ecr.exceptions.LifecyclePolicyNotFoundException),
        ("get_repository_policy", "policyText", ecr.exceptions.RepositoryPolicyNotFoundException),
    ):
        try:
            repository[part] = as_json(getattr(ecr, operation)(repositoryName=made.physical_id)[part])
        except failure:
            repository[part] = None
    return repository


def _elb_tags(world: World, made: Made) -> dict[str, str]:
    return _by_key(world.client("elbv2").describe_tags(ResourceArns=[made.physical_id])["TagDescriptions"][0]["Tags"])


def _balancer(world: World, made: Made) -> Any:
    elb = world.client("elbv2")
    found = elb.describe_load_balancers(LoadBalancerArns=[made.physical_id])["LoadBalancers"][0]
    attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=made.physical_id)["Attributes"]
    return {**found, "Attributes": _by_key(attributes)}


def _target_group(world: World, made: Made) -> Any:
    elb = world.client("elbv2")
    found = elb.describe_target_groups(TargetGroupArns=[made.physical_id])["TargetGroups"][0]
    attributes = elb.describe_target_group_attributes(TargetGroupArn=made.physical_id)["Attributes"]
    health = elb.describe_target_health(TargetGroupArn=made.physical_id)["TargetHealthDescriptions"]
    return {**found, "Attributes": _by_key(attributes), "Targets": sorted(one["Target"]["Id"] for one in health)}


def _target(world: World, made: Made) -> Any:
    resource, dimension, namespace = made.physical_id.split("|")
    found = world.client("application-autoscaling").describe_scalable_targets(
        ServiceNamespace=namespace, ResourceIds=[resource], ScalableDimension=dimension
    )
    return found["ScalableTargets"][0] if found["ScalableTargets"] else None


def _scaling_policy(world: World, made: Made) -> Any:
    found = world.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    return next((policy for policy in found if policy["PolicyARN"] == made.physical_id), None)


def _group(world: World, made: Made) -> Any:
    found = world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[made.physical_id])[
        "AutoScalingGroups"
    ]
    return found[0] if found else None


def _scheduled(world: World, made: Made) -> Any:
    found = world.client("autoscaling").describe_scheduled_actions(AutoScalingGroupName="group")[
        "ScheduledUpdateGroupActions"
    ]
    return next((one for one in found if one["ScheduledActionName"] == made.physical_id), None)


def _hook(world: World, made: Made) -> Any:
    found = world.client("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName="group")["LifecycleHooks"]
    return next((one for one in found if one["LifecycleHookName"] == made.physical_id), None)


def _record(world: World, made: Made) -> Any:
    found = world.client("route53").list_resource_record_sets(HostedZoneId=world.zone)["ResourceRecordSets"]
    return next((one for one in found if one["Name"].rstrip(".") == made.physical_id.rstrip(".")), None)


def _zone_tags(world: World, made: Made) -> dict[str, str]:
    answer = world.client("route53").list_tags_for_resource(ResourceType="hostedzone", ResourceId=made.physical_id)
    return _by_key(answer["ResourceTagSet"]["Tags"])


def _map_tags(world: World, made: Made) -> dict[str, str]:
    return _by_key(world.client("servicediscovery").list_tags_for_resource(ResourceARN=made.attributes["Arn"])["Tags"])


CONTAINER = {
    "Name": "main",
    "Image": "repository:1.0",
    "Cpu": 256,
    "Memory": "512",
    "Essential": True,
    "ReadonlyRootFilesystem": True,
    "User": "1000:1000",
    "Command": ["serve"],
    "Environment": [{"Name": "A", "Value": "b"}],
    "Secrets": [{"Name": "TOKEN", "ValueFrom": "arn:aws:secretsmanager:us-east-1:123456789012:secret:token"}],
    "HealthCheck": {"Command": ["CMD", "check"], "Interval": 10, "Timeout": 5, "Retries": 3, "StartPeriod": 30},
    "LinuxParameters": {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}},
    "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": "/ecs/fleet", "mode": "non-blocking"}},
    "MountPoints": [{"ContainerPath": "/scratch", "SourceVolume": "scratch", "ReadOnly": False}],
    "PortMappings": [{"ContainerPort": 8080, "Name": "health", "AppProtocol": "http"}],
    "RestartPolicy": {"Enabled": True, "RestartAttemptPeriod": 60},
    "StopTimeout": 60,
    "Ulimits": [{"Name": "nofile", "SoftLimit": 65536, "HardLimit": 65536}],
    "VersionConsistency": "enabled",
}
_DEPLOYMENT = {
    "MaximumPercent": 200,
    "MinimumHealthyPercent": 100,
    "DeploymentCircuitBreaker": {
        "Enable": True,
        "Rollback": True,
        "ThresholdConfiguration": {"Type": "COUNT", "Value": 3},
    },
}
_LIFECYCLE = '{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":9},"action":{"type":"expire"}}]}'
_TRACKING = {
    "TargetValue": 60,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    "ScaleInCooldown": 300,
    "ScaleOutCooldown": 60,
}


def _service_properties(world: World) -> dict[str, Any]:
    return {
        "Cluster": world.cluster,
        "ServiceName": "player",
        "TaskDefinition": world.task_definition(),
        "DesiredCount": 2,
        "LaunchType": "FARGATE",
        "NetworkConfiguration": {
            "AwsvpcConfiguration": {
                "Subnets": world.subnets[:2],
                "SecurityGroups": [world.group()],
                "AssignPublicIp": "DISABLED",
            }
        },
        "LoadBalancers": [{"ContainerName": "main", "ContainerPort": 8080, "TargetGroupArn": world.target_group()}],
        "HealthCheckGracePeriodSeconds": 120,
        "DeploymentConfiguration": _DEPLOYMENT,
        "AvailabilityZoneRebalancing": "ENABLED",
        "PropagateTags": "SERVICE",
        "EnableECSManagedTags": True,
        "EnableExecuteCommand": False,
    }


def _spot_properties(world: World) -> dict[str, Any]:
    usual = _service_properties(world)
    del usual["LaunchType"]
    strategy = [
        {"CapacityProvider": "FARGATE", "Base": 1, "Weight": 1},
        {"CapacityProvider": "FARGATE_SPOT", "Weight": 3},
    ]
    return {**usual, "CapacityProviderStrategy": strategy}


CASES = (
    Case(
        type="AWS::ECS::Cluster",
        properties=lambda _: {
            "ClusterName": "fleet",
            "ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}],
        },
        look=_cluster,
        seen={"clusterName": "fleet", "settings": [{"name": "containerInsights", "value": "enabled"}]},
        change=lambda _: {"ClusterSettings": [{"Name": "containerInsights", "Value": "enhanced"}]},
        then={"settings": [{"name": "containerInsights", "value": "enhanced"}]},
        tags=_ecs_tags,
        attributes={"Arn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/fleet"},
    ),
    Case(
        type="AWS::ECS::ClusterCapacityProviderAssociations",
        properties=lambda w: {
            "Cluster": w.cluster,
            "CapacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "DefaultCapacityProviderStrategy": [],
        },
        look=_capacity,
        seen={"capacityProviders": ["FARGATE", "FARGATE_SPOT"]},
        change=lambda _: {"DefaultCapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}]},
        then={"defaultCapacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}]},
    ),
    Case(
        type="AWS::ECS::TaskDefinition",
        properties=lambda w: {
            "Family": "player",
            "Cpu": "256",
            "Memory": "512",
            "NetworkMode": "awsvpc",
            "RequiresCompatibilities": ["FARGATE"],
            "RuntimePlatform": {"CpuArchitecture": "ARM64", "OperatingSystemFamily": "LINUX"},
            "ExecutionRoleArn": w.role().attributes["Arn"],
            "TaskRoleArn": w.role().attributes["Arn"],
            "EphemeralStorage": {"SizeInGiB": 30},
            "EnableFaultInjection": True,
            "Volumes": [{"Name": "scratch"}],
            "ContainerDefinitions": [CONTAINER],
        },
        look=_definition,
        seen={
            "cpu": "256",
            "memory": "512",
            "networkMode": "awsvpc",
            "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
            "executionRoleArn": lambda value: ":role/" in value,
            "taskRoleArn": lambda value: ":role/" in value,
            "ephemeralStorage": {"sizeInGiB": 30},
            "enableFaultInjection": True,
            "volumes": [{"name": "scratch"}],
            "containerDefinitions": [
                {
                    "name": "main",
                    "memory": 512,
                    "readonlyRootFilesystem": True,
                    "user": "1000:1000",
                    "command": ["serve"],
                    "environment": [{"name": "A", "value": "b"}],
                    "secrets": [{"name": "TOKEN"}],
                    "healthCheck": {"command": ["CMD", "check"], "interval": 10, "startPeriod": 30},
                    "linuxParameters": {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}},
                    "logConfiguration": {
                        "logDriver": "awslogs",
                        "options": {"awslogs-group": "/ecs/fleet", "mode": "non-blocking"},
                    },
                    "mountPoints": [{"containerPath": "/scratch", "sourceVolume": "scratch", "readOnly": False}],
                    "portMappings": [{"containerPort": 8080, "name": "health", "appProtocol": "http"}],
                    "restartPolicy": {"enabled": True, "restartAttemptPeriod": 60},
                    "stopTimeout": 60,
                    "ulimits": [{"name": "nofile", "softLimit": 65536}],
                    "versionConsistency": "enabled",
                }
            ],
        },
        tags=_ecs_tags,
        attributes={"TaskDefinitionArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/player:1"},
    ),
    Case(
        type="AWS::ECS::Service",
        properties=_service_properties,
        look=_service,
        seen={
            "serviceName": "player",
            "status": "ACTIVE",
            "desiredCount": 2,
            "runningCount": 0,
            "launchType": "FARGATE",
            "networkConfiguration": {
                "awsvpcConfiguration": {"assignPublicIp": "DISABLED", "subnets": lambda value: len(value) == 2}
            },
            "loadBalancers": [{"containerName": "main", "containerPort": 8080}],
            "healthCheckGracePeriodSeconds": 120,
            "deploymentConfiguration": {
                "maximumPercent": 200,
                "minimumHealthyPercent": 100,
                "deploymentCircuitBreaker": {
                    "enable": True,
                    "rollback": True,
                    "thresholdConfiguration": {"type": "COUNT", "value": 3},
                },
            },
            "availabilityZoneRebalancing": "ENABLED",
            "propagateTags": "SERVICE",
            "enableECSManagedTags": True,
            "deployments": [{"status": "PRIMARY", "rolloutState": "IN_PROGRESS", "runningCount": 0}],
        },
        change=lambda w: {
            "TaskDefinition": w.task_definition("next"),
            "DesiredCount": 4,
            "DeploymentConfiguration": {**_DEPLOYMENT, "MaximumPercent": 150},
            "HealthCheckGracePeriodSeconds": None,
        },
        then={
            "taskDefinition": lambda value: "/next:" in value,
            "desiredCount": 4,
            "runningCount": 0,
            "pendingCount": 4,
            "deploymentConfiguration": {"maximumPercent": 150, "deploymentCircuitBreaker": {"enable": True}},
            "healthCheckGracePeriodSeconds": 0,
            "deployments": [{"desiredCount": 4, "runningCount": 0, "taskDefinition": lambda value: "/next:" in value}],
        },
        tags=_ecs_tags,
        attributes={"Name": "player", "ServiceArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/cluster/player"},
    ),
    Case(
        type="AWS::ECS::Service",
        properties=_spot_properties,
        look=_service,
        seen={
            "launchType": lambda value: not value,
            "capacityProviderStrategy": [
                {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
                {"capacityProvider": "FARGATE_SPOT", "weight": 3},
            ],
        },
        change=lambda _: {
            "DesiredCount": None,
            "CapacityProviderStrategy": [{"CapacityProvider": "FARGATE", "Weight": 1}],
        },
        then={"desiredCount": 2, "capacityProviderStrategy": [{"capacityProvider": "FARGATE", "weight": 1}]},
        name="spot",
    ),
    Case(
        type="AWS::ECR::Repository",
        properties=lambda _: {
            "RepositoryName": "fleet/player",
            "ImageTagMutability": "IMMUTABLE",
            "ImageScanningConfiguration": {"ScanOnPush": True},
            "EncryptionConfiguration": {"EncryptionType": "AES256"},
            "LifecyclePolicy": {"LifecyclePolicyText": _LIFECYCLE},
            "RepositoryPolicyText": document({"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}),
            "EmptyOnDelete": True,
        },
        look=_repository,
        seen={
            "imageTagMutability": "IMMUTABLE",
            "imageScanningConfiguration": {"scanOnPush": True},
            "lifecyclePolicyText": {"rules": [{"rulePriority": 1}]},
            "policyText": {"Statement": [{"Action": "ecr:BatchGetImage"}]},
        },
        change=lambda _: {
            "ImageTagMutability": "MUTABLE",
            "ImageScanningConfiguration": None,
            "LifecyclePolicy": None,
            "RepositoryPolicyText": None,
        },
        then={
            "imageTagMutability": "MUTABLE",
            "imageScanningConfiguration": {"scanOnPush": False},
            "lifecyclePolicyText": None,
            "policyText": None,
        },
        tags=lambda w, m: _by_key(w.client("ecr").list_tags_for_resource(resourceArn=m.attributes["Arn"])["tags"]),
        attributes={"RepositoryUri": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/fleet/player"},
    ),
    Case(
        type="AWS::ElasticLoadBalancingV2::LoadBalancer",
        properties=lambda w: {
            "Type": "application",
            "Scheme": "internal",
            "Subnets": w.subnets[:2],
            "SecurityGroups": [w.group()],
            "LoadBalancerAttributes": [
                {"Key": "access_logs.s3.enabled", "Value": "true"},
                {"Key": "access_logs.s3.bucket", "Value": w.bucket("access-logs")},
                {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"},
            ],
        },
        look=_balancer,
        seen={
            "Scheme": "internal",
            "Type": "application",
            "Attributes": {"access_logs.s3.bucket": "access-logs"},
            "AvailabilityZones": lambda value: len(value) == 2,
        },
        change=lambda w: {
            "SecurityGroups": [w.group("a"), w.group("b")],
            "Subnets": w.subnets,
            "LoadBalancerAttributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "90"}],
        },
        then={
            "SecurityGroups": lambda value: len(value) == 2,
            "AvailabilityZones": lambda value: len(value) == 3,
            "Attributes": {"idle_timeout.timeout_seconds": "90"},
        },
        tags=_elb_tags,
        attributes={
            "LoadBalancerFullName": lambda value: value.startswith("app/fleet-Thing-"),
            "LoadBalancerName": lambda value: value.startswith("fleet-Thing-"),
            "DNSName": lambda value: value.endswith(".elb.amazonaws.com"),
            "CanonicalHostedZoneID": lambda value: value.startswith("Z"),
        },
    ),
    Case(
        type="AWS::ElasticLoadBalancingV2::TargetGroup",
        properties=lambda w: {
            "Port": 8000,
            "Protocol": "HTTP",
            "TargetType": "ip",
            "VpcId": w.vpc,
            "HealthCheckPath": "/health",
            "HealthCheckPort": "8080",
            "Matcher": {"HttpCode": "200"},
            "TargetGroupAttributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": "30"}],
            "Targets": [{"Id": "10.0.0.9", "Port": 8000}],
        },
        look=_target_group,
        seen={
            "HealthCheckPath": "/health",
            "HealthCheckPort": "8080",
            "Targets": ["10.0.0.9"],
            "Attributes": {"deregistration_delay.timeout_seconds": "30"},
        },
        change=lambda _: {"HealthCheckPath": "/livez", "Targets": [{"Id": "10.0.1.9", "Port": 8000}]},
        then={"HealthCheckPath": "/livez", "Targets": ["10.0.1.9"]},
        tags=_elb_tags,
        attributes={
            "TargetGroupFullName": lambda value: value.startswith("targetgroup/fleet-Thing-"),
            "LoadBalancerArns": [],
        },
    ),
    Case(
        type="AWS::ElasticLoadBalancingV2::Listener",
        properties=lambda w: {
            "LoadBalancerArn": w.load_balancer,
            "Port": 443,
            "Protocol": "HTTPS",
            "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
            "Certificates": [{"CertificateArn": w.certificate()}],
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": w.target_group()}],
        },
        look=lambda w, m: w.client("elbv2").describe_listeners(ListenerArns=[m.physical_id])["Listeners"][0],
        seen={
            "Port": 443,
            "Protocol": "HTTPS",
            "Certificates": lambda value: len(value) == 1,
            "DefaultActions": [{"Type": "forward"}],
        },
        change=lambda _: {
            "DefaultActions": [
                {
                    "Type": "fixed-response",
                    "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "no"},
                }
            ]
        },
        then={"DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]},
        tags=_elb_tags,
    ),
    Case(
        type="AWS::ElasticLoadBalancingV2::ListenerRule",
        properties=lambda w: {
            "ListenerArn": w.listener,
            "Priority": 10,
            "Conditions": [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/player/*"]}}],
            "Actions": [{"Type": "forward", "TargetGroupArn": w.target_group("other")}],
        },
        look=lambda w, m: w.client("elbv2").describe_rules(RuleArns=[m.physical_id])["Rules"][0],
        seen={"Priority": "10", "Conditions": [{"Field": "path-pattern"}]},
        change=lambda _: {
            "Priority": 20,
            "Conditions": [{"Field": "host-header", "HostHeaderConfig": {"Values": ["a.example.com"]}}],
        },
        then={"Priority": "20", "Conditions": [{"Field": "host-header"}]},
        tags=_elb_tags,
    ),
    Case(
        type="AWS::ApplicationAutoScaling::ScalableTarget",
        properties=lambda w: {
            "ServiceNamespace": "ecs",
            "ScalableDimension": "ecs:service:DesiredCount",
            "ResourceId": f"service/{w.cluster}/{w.service('needed').rpartition('/')[2]}",
            "MinCapacity": 2,
            "MaxCapacity": 4,
            "RoleARN": w.role().attributes["Arn"],
        },
        look=_target,
        seen={"MinCapacity": 2, "MaxCapacity": 4},
        change=lambda _: {"MaxCapacity": 8},
        then={"MaxCapacity": 8},
        tags=lambda w, m: w.client("application-autoscaling").list_tags_for_resource(
            ResourceARN=m.attributes["ScalableTargetARN"]
        )["Tags"],
        attributes={"Id": "service/cluster/needed|ecs:service:DesiredCount|ecs"},
    ),
    Case(
        type="AWS::ApplicationAutoScaling::ScalingPolicy",
        properties=lambda w: {
            "PolicyName": "cpu",
            "PolicyType": "TargetTrackingScaling",
            "ScalingTargetId": w.scalable_target,
            "TargetTrackingScalingPolicyConfiguration": _TRACKING,
        },
        look=_scaling_policy,
        seen={
            "PolicyName": "cpu",
            "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 60.0, "ScaleInCooldown": 300},
        },
        change=lambda _: {"TargetTrackingScalingPolicyConfiguration": {**_TRACKING, "TargetValue": 70}},
        then={"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 70.0}},
    ),
    Case(
        type="AWS::AutoScaling::AutoScalingGroup",
        properties=lambda w: {
            "LaunchTemplate": {"LaunchTemplateId": w.launch_template, "Version": "1"},
            "MinSize": "1",
            "MaxSize": "1",
            "DesiredCapacity": "1",
            "VPCZoneIdentifier": w.subnets[:1],
            "HealthCheckGracePeriod": 60,
            "MetricsCollection": [{"Granularity": "1Minute", "Metrics": ["GroupInServiceInstances"]}],
            "LifecycleHookSpecificationList": [
                {"LifecycleHookName": "drain", "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}
            ],
        },
        look=_group,
        seen={
            "MinSize": 1,
            "DesiredCapacity": 1,
            "Instances": lambda value: len(value) == 1,
            "EnabledMetrics": lambda value: value[0]["Metric"] == "GroupInServiceInstances",
        },
        change=lambda w: {"MaxSize": "2", "VPCZoneIdentifier": w.subnets, "LifecycleHookSpecificationList": None},
        then={"MaxSize": 2, "VPCZoneIdentifier": lambda value: len(value.split(",")) == 3},
        tags=lambda w, m: _by_key(_group(w, m)["Tags"]),
        attributes={"AutoScalingGroupARN": lambda value: ":autoScalingGroup:" in value},
    ),
    Case(
        type="AWS::AutoScaling::ScheduledAction",
        properties=lambda w: {
            "AutoScalingGroupName": w.auto_scaling_group(),
            "MinSize": 0,
            "MaxSize": 1,
            "Recurrence": "0 6 * * *",
        },
        look=_scheduled,
        seen={"Recurrence": "0 6 * * *", "MaxSize": 1},
        change=lambda _: {"Recurrence": "0 7 * * *"},
        then={"Recurrence": "0 7 * * *"},
    ),
    Case(
        type="AWS::AutoScaling::LifecycleHook",
        properties=lambda w: {
            "AutoScalingGroupName": w.auto_scaling_group(),
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
            "HeartbeatTimeout": 300,
        },
        look=_hook,
        seen={"HeartbeatTimeout": 300},
        change=lambda _: {"HeartbeatTimeout": 600, "DefaultResult": "CONTINUE"},
        then={"HeartbeatTimeout": 600, "DefaultResult": "CONTINUE"},
    ),
    Case(
        type="AWS::Route53::HostedZone",
        properties=lambda w: {
            "Name": "gaming.internal.",
            "HostedZoneConfig": {"Comment": "names"},
            "VPCs": [{"VPCId": w.vpc, "VPCRegion": REGION}],
        },
        look=lambda w, m: w.client("route53").get_hosted_zone(Id=m.physical_id),
        seen={
            "HostedZone": {"Name": "gaming.internal.", "Config": {"PrivateZone": True, "Comment": "names"}},
            "VPCs": lambda value: len(value) == 1,
        },
        change=lambda w: {
            "HostedZoneConfig": {"Comment": "all names"},
            "VPCs": [
                {"VPCId": w.vpc, "VPCRegion": REGION},
                {"VPCId": w.make("AWS::EC2::VPC", CidrBlock="10.9.0.0/16").physical_id, "VPCRegion": REGION},
            ],
        },
        then={"HostedZone": {"Config": {"Comment": "all names"}}, "VPCs": lambda value: len(value) == 2},
        tags=_zone_tags,
    ),
    Case(
        type="AWS::Route53::RecordSet",
        properties=lambda w: {
            "HostedZoneId": w.zone,
            "Name": "nats-1.internal.",
            "Type": "A",
            "TTL": "60",
            "ResourceRecords": ["10.0.0.4"],
        },
        look=_record,
        seen={"TTL": 60, "ResourceRecords": [{"Value": "10.0.0.4"}]},
        change=lambda _: {"TTL": "30", "ResourceRecords": ["10.0.0.5", "10.0.1.5"]},
        then={"TTL": 30, "ResourceRecords": [{"Value": "10.0.0.5"}, {"Value": "10.0.1.5"}]},
    ),
    Case(
        type="AWS::ServiceDiscovery::PrivateDnsNamespace",
        properties=lambda w: {"Name": "map.internal", "Vpc": w.vpc, "Description": "first"},
        look=lambda w, m: w.client("servicediscovery").get_namespace(Id=m.physical_id)["Namespace"],
        seen={"Name": "map.internal", "Description": "first"},
        change=lambda _: {"Description": "second"},
        then={"Description": "second"},
        tags=_map_tags,
        attributes={"Arn": lambda value: ":namespace/" in value, "HostedZoneId": bool},
    ),
    Case(
        type="AWS::ServiceDiscovery::Service",
        properties=lambda w: {
            "Name": "player",
            "NamespaceId": w.namespace,
            "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 10}], "NamespaceId": w.namespace},
            "HealthCheckCustomConfig": {"FailureThreshold": 1},
        },
        look=lambda w, m: w.client("servicediscovery").get_service(Id=m.physical_id)["Service"],
        seen={"Name": "player", "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 10}]}},
        change=lambda w: {"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 30}], "NamespaceId": w.namespace}},
        then={"DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 30}]}},
        tags=_map_tags,
    ),
)
