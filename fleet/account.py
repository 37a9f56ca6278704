"""The account that an environment lives in: AWS with the caller's credentials, or the local AWS."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

from catalog.environment import Environment
from fleet.errors import InputError
from fleet.local.server import ENVIRONMENT, LocalAws, RunningServer

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_elasticache import ElastiCacheClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient

# Local answers come at once; AWS throttles, so a little patience there. No wait without an end in either.
_CONNECT_SECONDS = 5
_READ_SECONDS = 30
_ATTEMPTS = 4
_FUNCTION_SECONDS = 910
_CONNECTIONS = 16


class Account:
    """One account and region, with a client for each AWS service that the command reads or writes.

    Args:
        session: Credentials and region.
        account_id: The account's number.
        server: The local AWS, where the account is its; no request then leaves this machine.
    """

    def __init__(self, session: boto3.Session, account_id: str, server: RunningServer | None = None) -> None:
        self.account_id = account_id
        self.region = session.region_name
        self.server = server
        self._session = session
        self._lock = threading.Lock()

    @property
    def partition(self) -> str:
        """The part of AWS that the region belongs to, which every ARN begins with."""
        return self._session.get_partition_for_region(self.region)

    @property
    def is_local(self) -> bool:
        """Whether this is the local AWS."""
        return self.server is not None

    @cached_property
    def acm(self) -> Any:
        """Certificate Manager."""
        return self._client("acm")

    @cached_property
    def autoscaling(self) -> Any:
        """Application Auto Scaling."""
        return self._client("application-autoscaling")

    @cached_property
    def cloudformation(self) -> CloudFormationClient:
        """CloudFormation."""
        client: CloudFormationClient = self._client("cloudformation")
        return client

    @cached_property
    def cloudwatch(self) -> CloudWatchClient:
        """CloudWatch."""
        client: CloudWatchClient = self._client("cloudwatch")
        return client

    @cached_property
    def ec2(self) -> EC2Client:
        """EC2."""
        client: EC2Client = self._client("ec2")
        return client

    @cached_property
    def ecr(self) -> ECRClient:
        """Image repositories."""
        client: ECRClient = self._client("ecr")
        return client

    @cached_property
    def ecs(self) -> ECSClient:
        """ECS."""
        client: ECSClient = self._client("ecs")
        return client

    @cached_property
    def functions(self) -> LambdaClient:
        """Functions of ours, which are waited for as long as they may run and never called twice."""
        client: LambdaClient = self._client("lambda", read_timeout=_FUNCTION_SECONDS, retries={"total_max_attempts": 1})
        return client

    @cached_property
    def groups(self) -> AutoScalingClient:
        """Auto Scaling groups of machines."""
        client: AutoScalingClient = self._client("autoscaling")
        return client

    @cached_property
    def kms(self) -> KMSClient:
        """Keys."""
        client: KMSClient = self._client("kms")
        return client

    @cached_property
    def logs(self) -> CloudWatchLogsClient:
        """Logs."""
        client: CloudWatchLogsClient = self._client("logs")
        return client

    @cached_property
    def s3(self) -> S3Client:
        """Buckets."""
        client: S3Client = self._client("s3")
        return client

    @cached_property
    def elasticache(self) -> ElastiCacheClient:
        """ElastiCache."""
        client: ElastiCacheClient = self._client("elasticache")
        return client

    @cached_property
    def secretsmanager(self) -> SecretsManagerClient:
        """Secrets."""
        client: SecretsManagerClient = self._client("secretsmanager")
        return client

    @cached_property
    def sns(self) -> SNSClient:
        """Topics."""
        client: SNSClient = self._client("sns")
        return client

    @cached_property
    def ssm(self) -> SSMClient:
        """Parameters."""
        client: SSMClient = self._client("ssm")
        return client

    def _client(self, service: str, **changes: Any) -> Any:
        return _client(self._session, service, self.server, self._lock, **changes)


def open_account(environment: Environment, local_aws: LocalAws | None = None) -> Account:
    """Return the account of an environment, seen to answer and to be the right one.

    Raises:
        InputError: There are no credentials or they are not accepted, it is another account than the environment's, or the
            local AWS does not run.
    """
    if environment.name == ENVIRONMENT:
        server = (local_aws or LocalAws()).running()
        if server is None:
            raise InputError("the local AWS does not run\n  start it: fleet local start   or deploy: make deploy")
        return local_account(server)
    return _aws_account(environment)


def local_account(server: RunningServer) -> Account:
    """Return the account of a local AWS; the credentials are a formality there."""
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=server.region)  # noqa: S106
    return Account(session, server.account, server)


def _aws_account(environment: Environment) -> Account:
    try:
        session = boto3.Session(region_name=environment.region)
        account_id = _client(session, "sts").get_caller_identity()["Account"]
    except ProfileNotFound as error:
        raise InputError(
            f"{error}\n  AWS_PROFILE names it; `aws configure list-profiles` shows those that there are"
        ) from error
    except NoCredentialsError as error:
        raise InputError(
            f"no AWS credentials were found, and {environment.name} is an environment in AWS\n"
            "  sign in (`aws sso login`, or `aws configure`), name a profile (AWS_PROFILE=…), or set AWS_ACCESS_KEY_ID and\n"
            "  AWS_SECRET_ACCESS_KEY; `aws sts get-caller-identity` then tells who you are"
        ) from error
    except ClientError as error:
        raise InputError(f"AWS did not accept the credentials: {error}\n  sign in anew, then try again") from error
    except BotoCoreError as error:
        raise InputError(f"AWS could not be asked who you are: {error}") from error
    if environment.account and account_id != environment.account:
        raise InputError(
            f"these credentials belong to account {account_id}, and {environment.name} to account {environment.account}\n"
            f"  (environments/{environment.name}.yaml: account); nothing was done"
        )
    return Account(session, account_id)


def _client(
    session: boto3.Session,
    service: str,
    server: RunningServer | None = None,
    lock: threading.Lock | None = None,
    **changes: Any,
) -> Any:
    settings: dict[str, Any] = {
        "retries": {"mode": "standard", "max_attempts": _ATTEMPTS},
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "max_pool_connections": _CONNECTIONS,
        # A proxy of the user's must not get what is meant for loopback.
        "proxies": {} if server else None,
    }
    config = Config(**settings | changes)
    # Requests may come from several threads, but a session makes one client at a time.
    with lock or threading.Lock():
        return session.client(service, endpoint_url=server.endpoint if server else None, config=config)  # type: ignore[call-overload]
