"""Who may use the cache: a user and a secret a service, and the function that makes the users and changes their passwords.

No password is in a template: a stack that is updated or rolled back could put back one that has long been changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct, IDependable

from catalog import names
from catalog.environment import Environment
from catalog.service import Service
from fleet_constructs.account_inputs import pascal_case
from fleet_constructs.acknowledgements import wildcard
from fleet_constructs.arns import account, arn, partition, secret_arn_pattern
from fleet_constructs.fleet_network import FleetNetwork
from fleet_constructs.log_group import retention_days
from fleet_constructs.python_function import FunctionNetwork, PythonFunction
from fleet_constructs.retention import Retention

FUNCTION_TIMEOUT_SECONDS = 900  # users change one after the other, and their group is at work while one does
PROBE_TIMEOUT_SECONDS = 30
FUNCTION_MEMORY_MIB = 256
_ELASTICACHE = "elasticache.amazonaws.com"
NOBODY = "off -@all"
# Of users and their group, not of the cache. Both engines let such a group in; Redis lets in no other, and a user that every
# group takes has a password, as all of ours have. So a cache that stands can be given the other engine, and its users stay.
ENGINE = "redis"
# Everything that is not named here is refused, so that a command that a newer engine brings is refused too. What works on keys
# and channels works on the user's own alone. Refused although its kind is named: what is dangerous; SCAN, RANDOMKEY, DBSIZE,
# PUBSUB and CLIENT TRACKING, which show the keys and channels of others. FUNCTION is not named, since functions are shared: one
# service could put its code into another's. Of INFO and CLUSTER, what clients need to find their way.
COMMANDS = (
    "-@all "
    "+@keyspace +@string +@hash +@list +@set +@sortedset +@stream +@bitmap +@hyperloglog +@geo "
    "+@pubsub +@transaction +@connection +eval +evalsha +eval_ro +evalsha_ro +script|load +script|exists +time "
    "-@admin -@dangerous -scan -randomkey -dbsize -pubsub -client|tracking "
    "+info +cluster|info +cluster|keyslot +cluster|nodes +cluster|shards +cluster|slots"
)


def access_string(service: str) -> str:
    """Return what a service's user may do: everything harmless, with its own keys and channels."""
    return f"on ~{service}:* &{service}:* {COMMANDS}"


class CacheUsers(Construct):
    """The users of an environment's cache, in one group."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        services: Sequence[Service],
        environment: Environment,
        retention: Retention,
    ) -> None:
        super().__init__(scope, construct_id)
        self._environment = environment
        self._retention = retention
        self._function = self._make_function()
        self._secrets: list[tuple[Service, secretsmanager.CfnSecret]] = []
        prefix = names.cluster(environment.name)
        # Whoever comes without a name comes as default. On Valkey every user has a password; of this one's, nobody knows.
        default = self._user("Default", user_id=f"{prefix}-default", user_name="default", access=NOBODY)
        users = [default]
        for service in services:
            user = self._user_of(service)
            # One after the other: a change of all would else keep their group at work for longer than the last one waits.
            user.node.add_dependency(users[-1])
            users.append(user)
        self.group = elasticache.CfnUserGroup(
            self,
            "Group",
            engine=ENGINE,
            user_group_id=prefix,
            user_ids=[user.ref for user in users],
        )
        # A cache that is retained needs both: CloudFormation would take the group from it, and then everybody may come in.
        for needed in (default, self.group):
            needed.apply_removal_policy(retention.removal_policy)

    def rotate(self, *, endpoint: str, network: FleetNetwork, after: IDependable) -> None:
        """Change each password on a schedule, once there is a cache that a new one can be tried at.

        Args:
            endpoint: host and port of the cache.
            network: where it stands.
            after: what must be there before.
        """
        environment = self._environment
        probe = PythonFunction(
            self,
            "Probe",
            function_name=names.cache_probe_function(environment.name),
            description="Tries whether a password opens the cache",
            handler="functions.cache_probe.handler",
            sources=("functions",),
            architecture=environment.function_architecture,
            variables={"CACHE_ENDPOINT": endpoint},
            timeout_seconds=PROBE_TIMEOUT_SECONDS,
            memory_mib=FUNCTION_MEMORY_MIB,
            permissions=[],
            log_retention=retention_days(environment.monitoring.log_retention_days),
            removal_policy=self._retention.removal_policy,
            network=FunctionNetwork(network.vpc, network.security_groups.cache_client),
        )
        cdk.Validations.of(probe).acknowledge(wildcard("*", "Lambda's addresses in a network know no resource"))
        allowed = lambda_.CfnPermission(
            self,
            "SecretsManagerMayRotate",
            action="lambda:InvokeFunction",
            function_name=self._function.function_name,
            principal="secretsmanager.amazonaws.com",
            source_account=account(),
        )
        for service, secret in self._secrets:
            schedule = secretsmanager.CfnRotationSchedule(
                self,
                f"{pascal_case(service.name)}Rotation",
                secret_id=secret.ref,
                rotation_lambda_arn=self._function.function_arn,
                rotation_rules=secretsmanager.CfnRotationSchedule.RotationRulesProperty(
                    automatically_after_days=environment.cache.password_rotation_days
                ),
                # The password is new already when the user is made; AWS then only tries it.
                rotate_immediately_on_update=False,
            )
            schedule.node.add_dependency(allowed, probe, self.group, after)

    def _user_of(self, service: Service) -> cdk.CustomResource:
        name = names.cache_secret(service.name, self._environment.name)
        # Without a value: the function that makes the user puts its password here.
        secret = secretsmanager.CfnSecret(
            self,
            f"{pascal_case(service.name)}Secret",
            name=name,
            description=f"User of {service.name} in the cache",
        )
        # Made anew with the service: a retained one would hold the name, and the service could not come back.
        secret.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
        self._secrets.append((service, secret))
        user = self._user(
            pascal_case(service.name),
            user_id=service.name,
            user_name=service.name,
            access=access_string(service.name),
            secret=name,
        )
        user.node.add_dependency(secret)
        return user

    def _user(
        self, construct_id: str, *, user_id: str, user_name: str, access: str, secret: str | None = None
    ) -> cdk.CustomResource:
        """Have the function make a user; without a secret, nobody is told its password."""
        return cdk.CustomResource(
            self,
            f"{construct_id}User",
            resource_type="Custom::CacheUser",
            service_token=self._function.function_arn,
            service_timeout=cdk.Duration.seconds(FUNCTION_TIMEOUT_SECONDS + 60),
            properties={
                "UserId": user_id,
                "UserName": user_name,
                "Engine": ENGINE,
                "AccessString": access,
                "UserTags": {"service": user_name, "environment": self._environment.name},
                **({"Secret": secret} if secret else {}),
            },
        )

    def _make_function(self) -> lambda_.Function:
        environment = self._environment
        secrets = secret_arn_pattern(names.cache_secret("*", environment.name), environment)
        users, groups = (arn("elasticache", environment, f"{kind}:*") for kind in ("user", "usergroup"))
        probe = names.cache_probe_function(environment.name)
        function = PythonFunction(
            self,
            "Function",
            function_name=names.cache_passwords_function(environment.name),
            description="Makes the users of the cache and changes their passwords",
            handler="functions.cache_passwords.handler",
            sources=("functions",),
            architecture=environment.function_architecture,
            variables={"PROBE_FUNCTION": probe} if environment.cache.prove_passwords else {},
            timeout_seconds=FUNCTION_TIMEOUT_SECONDS,
            memory_mib=FUNCTION_MEMORY_MIB,
            permissions=[
                iam.PolicyStatement(
                    sid="KeepPasswords",
                    actions=[
                        "secretsmanager:DescribeSecret",
                        "secretsmanager:GetSecretValue",
                        "secretsmanager:PutSecretValue",
                        "secretsmanager:UpdateSecretVersionStage",
                    ],
                    resources=[secrets],
                ),
                iam.PolicyStatement(
                    sid="KeepUsers",
                    actions=[
                        "elasticache:AddTagsToResource",
                        "elasticache:CreateUser",
                        "elasticache:DeleteUser",
                        "elasticache:DescribeUsers",
                        "elasticache:ModifyUser",
                    ],
                    resources=[users],
                ),
                iam.PolicyStatement(
                    sid="WaitForGroups", actions=["elasticache:DescribeUserGroups"], resources=[groups]
                ),
                # Where nothing of ElastiCache was ever made before, it makes its role with the first user.
                iam.PolicyStatement(
                    sid="BeginWithElastiCache",
                    actions=["iam:CreateServiceLinkedRole"],
                    resources=[
                        f"arn:{partition()}:iam::{account()}:role/aws-service-role/{_ELASTICACHE}/AWSServiceRoleForElastiCache"
                    ],
                    conditions={"StringEquals": {"iam:AWSServiceName": _ELASTICACHE}},
                ),
                iam.PolicyStatement(
                    sid="TryPasswords",
                    actions=["lambda:InvokeFunction"],
                    resources=[arn("lambda", environment, f"function:{probe}")],
                ),
            ],
            log_retention=retention_days(environment.monitoring.log_retention_days),
            removal_policy=self._retention.removal_policy,
        )
        cdk.Validations.of(function).acknowledge(
            wildcard(secrets, "one secret a service that uses the cache; the end of an ARN is AWS's own choice"),
            wildcard(users, "one user a service that uses the cache"),
            wildcard(groups, "whichever groups a user is in are waited for"),
        )
        return function.function
