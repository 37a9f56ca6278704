"""The lives of the types of IAM, KMS, Secrets Manager, Certificate Manager and WAF."""

from __future__ import annotations

from typing import Any

from local_aws.resources.contract import Made
from tests.unit.local_aws.resources.case import Case
from tests.unit.local_aws.resources.world import ACCOUNT, World, as_json, document

_ASSUME = document({"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"})
_ASSUME_EC2 = document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})
_READ = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})
_WRITE = document({"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"})
_KEY_POLICY = document(
    {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"}
)


def _by_key(tags: list[dict[str, str]], key: str = "Key", value: str = "Value") -> dict[str, str]:
    return {tag[key]: tag[value] for tag in tags}


def _role(world: World, made: Made) -> dict[str, Any]:
    iam = world.client("iam")
    name = made.physical_id
    role = iam.get_role(RoleName=name)["Role"]
    role["Attached"] = [one["PolicyName"] for one in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]]
    role["Inline"] = {
        policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    }
    return role  # type: ignore[no-any-return]


def _inline(world: World, _made: Made) -> Any:
    """Return what each role has of the policy `reading`, or nothing."""
    iam = world.client("iam")
    found = {}
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            found[role["Path"]] = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    return found or None


def _managed(world: World, made: Made) -> dict[str, Any]:
    iam = world.client("iam")
    policy = iam.get_policy(PolicyArn=made.physical_id)["Policy"]
    version = iam.get_policy_version(PolicyArn=made.physical_id, VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    return {**policy, "Document": version["Document"]}


def _key(world: World, made: Made) -> Any:
    kms = world.client("kms")
    key = kms.describe_key(KeyId=made.physical_id)["KeyMetadata"]
    if key["KeyState"] == "PendingDeletion":
        return None
    key["Rotates"] = kms.get_key_rotation_status(KeyId=made.physical_id)["KeyRotationEnabled"]
    key["Policy"] = as_json(kms.get_key_policy(KeyId=made.physical_id, PolicyName="default")["Policy"])
    return key


def _alias(world: World, made: Made) -> Any:
    return next(
        (one for one in world.client("kms").list_aliases()["Aliases"] if one["AliasName"] == made.physical_id), None
    )


def _secret(world: World, made: Made) -> dict[str, Any]:
    secrets = world.client("secretsmanager")
    described = secrets.describe_secret(SecretId=made.physical_id)
    return {**described, "Value": secrets.get_secret_value(SecretId=made.physical_id)["SecretString"]}


def _managed_policy(world: World, name: str) -> str:
    return world.make("AWS::IAM::ManagedPolicy", ManagedPolicyName=name, PolicyDocument=_READ).physical_id


def _path(world: World, path: str) -> str:
    return world.make("AWS::IAM::Role", AssumeRolePolicyDocument=_ASSUME, Path=path).physical_id


_VISIBILITY = {"SampledRequestsEnabled": True, "CloudWatchMetricsEnabled": True, "MetricName": "m"}

CASES = (
    Case(
        type="AWS::IAM::Role",
        properties=lambda w: {
            "AssumeRolePolicyDocument": _ASSUME,
            "Description": "runs a service",
            "ManagedPolicyArns": [_managed_policy(w, "first")],
            "Policies": [{"PolicyName": "a", "PolicyDocument": _READ}, {"PolicyName": "b", "PolicyDocument": _READ}],
            "MaxSessionDuration": "7200",
        },
        look=_role,
        seen={
            "Description": "runs a service",
            "Attached": ["first"],
            "Inline": {"a": _READ, "b": _READ},
            "MaxSessionDuration": 7200,
        },
        change=lambda w: {
            "AssumeRolePolicyDocument": _ASSUME_EC2,
            "Description": None,
            "ManagedPolicyArns": [_managed_policy(w, "second")],
            "Policies": [{"PolicyName": "a", "PolicyDocument": _WRITE}],
        },
        then={
            "AssumeRolePolicyDocument": _ASSUME_EC2,
            "Attached": ["second"],
            "Inline": lambda value: value == {"a": _WRITE},
            "Description": lambda value: not value,
        },
        tags=lambda w, m: _by_key(w.client("iam").list_role_tags(RoleName=m.physical_id)["Tags"]),
        attributes={
            "Arn": lambda value: value.startswith(f"arn:aws:iam::{ACCOUNT}:role/"),
            "RoleId": lambda value: value.startswith("AROA"),
        },
    ),
    Case(
        type="AWS::IAM::Policy",
        properties=lambda w: {
            "PolicyName": "reading",
            "PolicyDocument": _READ,
            "Roles": [_path(w, "/one/"), _path(w, "/two/")],
        },
        look=_inline,
        seen={"/one/": _READ, "/two/": _READ},
        change=lambda w: {"PolicyName": "writing", "PolicyDocument": _WRITE, "Roles": [_path(w, "/three/")]},
        then=lambda value: value == {"/three/": _WRITE},
    ),
    Case(
        type="AWS::IAM::ManagedPolicy",
        properties=lambda w: {"PolicyDocument": _READ, "Description": "d", "Roles": [w.role().physical_id]},
        look=_managed,
        seen={"Document": _READ, "AttachmentCount": 1, "Description": "d"},
        change=lambda _: {"PolicyDocument": _WRITE, "Roles": None},
        then={"Document": _WRITE, "AttachmentCount": 0},
        attributes={
            "PolicyArn": lambda value: value.startswith(f"arn:aws:iam::{ACCOUNT}:policy/"),
            "DefaultVersionId": "v1",
        },
    ),
    Case(
        type="AWS::IAM::InstanceProfile",
        properties=lambda w: {"Roles": [w.role("ec2.amazonaws.com").physical_id]},
        look=lambda w, m: w.client("iam").get_instance_profile(InstanceProfileName=m.physical_id)["InstanceProfile"],
        seen={"Roles": lambda value: len(value) == 1},
        change=lambda w: {"Roles": [_path(w, "/other/")]},
        then={"Roles": [{"Path": "/other/"}]},
        tags=lambda w, m: _by_key(
            w.client("iam").list_instance_profile_tags(InstanceProfileName=m.physical_id)["Tags"]
        ),
    ),
    Case(
        type="AWS::KMS::Key",
        properties=lambda _: {
            "KeyPolicy": _KEY_POLICY,
            "EnableKeyRotation": True,
            "Description": "topic",
            "PendingWindowInDays": 7,
        },
        look=_key,
        seen={"Description": "topic", "Rotates": True, "Policy": _KEY_POLICY, "Enabled": True},
        change=lambda _: {"EnableKeyRotation": None, "Description": "alerts", "Enabled": False},
        then={"Description": "alerts", "Enabled": False},
        tags=lambda w, m: _by_key(
            w.client("kms").list_resource_tags(KeyId=m.physical_id)["Tags"], "TagKey", "TagValue"
        ),
        attributes={"Arn": lambda value: ":key/" in value, "KeyId": lambda value: "-" in value},
    ),
    Case(
        type="AWS::KMS::Alias",
        properties=lambda w: {"AliasName": "alias/fleet", "TargetKeyId": w.make("AWS::KMS::Key").physical_id},
        look=_alias,
        seen={"TargetKeyId": bool},
        change=lambda w: {"TargetKeyId": w.make("AWS::KMS::Key", Description="other").physical_id},
        then={"TargetKeyId": bool},
    ),
    Case(
        type="AWS::SecretsManager::Secret",
        properties=lambda _: {
            "Description": "token",
            "GenerateSecretString": {
                "SecretStringTemplate": '{"user": "nats"}',
                "GenerateStringKey": "password",
                "PasswordLength": 24,
                "ExcludePunctuation": True,
            },
        },
        look=_secret,
        seen={
            "Description": "token",
            "Value": lambda value: as_json(value)["user"] == "nats" and len(as_json(value)["password"]) == 24,
        },
        change=lambda _: {"GenerateSecretString": None, "SecretString": "given", "Description": None},
        then={"Value": "given"},
        tags=lambda w, m: _by_key(w.client("secretsmanager").describe_secret(SecretId=m.physical_id).get("Tags", [])),
        attributes={"Id": lambda value: value.startswith("arn:aws:secretsmanager:")},
    ),
    Case(
        type="AWS::SecretsManager::RotationSchedule",
        properties=lambda w: {
            "SecretId": w.make("AWS::SecretsManager::Secret", SecretString="one").physical_id,
            "RotationLambdaARN": w.function().attributes["Arn"],
            "RotationRules": {"AutomaticallyAfterDays": 30},
            "RotateImmediatelyOnUpdate": False,
        },
        look=_secret,
        seen={
            "Value": "one",
            "RotationEnabled": True,
            "RotationRules": {"AutomaticallyAfterDays": 30},
            "VersionIdsToStages": lambda value: list(value.values()) == [["AWSCURRENT"]],
        },
        change=lambda _: {"RotationRules": {"AutomaticallyAfterDays": 7}},
        then={"RotationRules": {"AutomaticallyAfterDays": 7}, "RotationEnabled": True},
        attributes={"Id": lambda value: value.startswith("arn:aws:secretsmanager:")},
        remains={"RotationEnabled": False},
    ),
    Case(
        type="AWS::CertificateManager::Certificate",
        properties=lambda w: {
            "DomainName": "api.example.com",
            "SubjectAlternativeNames": ["www.example.com"],
            "ValidationMethod": "DNS",
            "DomainValidationOptions": [
                {
                    "DomainName": "api.example.com",
                    "HostedZoneId": w.make("AWS::Route53::HostedZone", Name="example.com.").physical_id,
                }
            ],
        },
        look=lambda w, m: w.client("acm").describe_certificate(CertificateArn=m.physical_id)["Certificate"],
        seen={"DomainName": "api.example.com", "SubjectAlternativeNames": lambda value: "www.example.com" in value},
        change=lambda _: {"CertificateTransparencyLoggingPreference": "DISABLED"},
        then={"Options": {"CertificateTransparencyLoggingPreference": "DISABLED"}},
        tags=lambda w, m: _by_key(w.client("acm").list_tags_for_certificate(CertificateArn=m.physical_id)["Tags"]),
    ),
    Case(
        type="AWS::WAFv2::WebACL",
        properties=lambda _: {
            "Scope": "REGIONAL",
            "DefaultAction": {"Allow": {}},
            "VisibilityConfig": _VISIBILITY,
            "Description": "before",
        },
        look=lambda w, m: w.client("wafv2").get_web_acl(
            Name=m.attributes["Name"], Scope="REGIONAL", Id=m.attributes["Id"]
        )["WebACL"],
        seen={"DefaultAction": {"Allow": {}}, "Description": "before"},
        change=lambda _: {
            "DefaultAction": {"Block": {}},
            "Rules": [
                {
                    "Name": "rate",
                    "Priority": 1,
                    "Action": {"Block": {}},
                    "Statement": {"RateBasedStatement": {"Limit": 1000, "AggregateKeyType": "IP"}},
                    "VisibilityConfig": _VISIBILITY,
                }
            ],
        },
        then={"DefaultAction": {"Block": {}}, "Rules": [{"Name": "rate"}]},
        tags=lambda w, m: _by_key(
            w.client("wafv2").list_tags_for_resource(ResourceARN=m.attributes["Arn"])["TagInfoForResource"]["TagList"]
        ),
    ),
    Case(
        type="AWS::WAFv2::WebACLAssociation",
        properties=lambda w: {"WebACLArn": w.web_acl().attributes["Arn"], "ResourceArn": w.load_balancer},
        look=lambda w, _: w.client("wafv2").get_web_acl_for_resource(ResourceArn=w.load_balancer).get("WebACL"),
        seen={"Name": "list"},
    ),
)
