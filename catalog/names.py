"""Every name that two parts of the system must agree on, each made in one place.

Nothing that belongs to one service crosses a stack boundary as an export; it is referred to by one of these literal names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

PLATFORM = "gaming-system"
LOCAL = "local"
"""The environment that lives in the local AWS, on one machine."""
IDENTITY_DOMAIN = "gaming-system.internal"
NATS_DOMAIN = f"nats.{IDENTITY_DOMAIN}"
SERVICE_DOMAIN = f"svc.{IDENTITY_DOMAIN}"
NATS_NODES = ("nats-1", "nats-2", "nats-3")
REFERENCE_RUNTIME = "reference-service"
RESERVED_IDENTITIES = ("operator", "provisioner", "loadtest", "metrics")
LOAD_TEST_IDENTITY = "loadtest"
LOAD_TESTS = "load-tests/"
LOAD_TEST_SUBNETS = "LoadTestSubnets"
LOAD_TEST_SECURITY_GROUP = "LoadTestSecurityGroup"
LOAD_TEST_RESULTS = f"{LOAD_TESTS}results/"
PLATFORM_ALARM_PREFIX = "platform-"
LONGEST_ENVIRONMENT_NAME = 8  # the bucket of certificates has it in its name, beside account and region: 63 characters

# What the platform tells a container; a name that ends in `*` stands for all that begin so.
PLATFORM_VARIABLES = (
    "SERVICE_NAME",
    "SERVICE_CONTRACT",
    "FLEET_ENVIRONMENT",
    "GATEWAY_ROUTES",
    "HEALTH_PORT",
    "HEALTH_PATH",
    "NATS_SERVERS",
    "NATS_IDENTITY",
    "NATS_OUTAGE_TOLERANCE_SECONDS",
    "CERTIFICATES_BUCKET",
    "CERTIFICATES_PREFIX",
    "CACHE_ENDPOINT",
    "CACHE_SECRET",
    "AWS_*",
)
# Tags that the platform puts on its resources itself.
PLATFORM_TAGS = ("platform", "environment", "part", "service", "group", "owner", "nats-slot")

HEALTH_PORT = 8080
GATEWAY_PORT = 8000
NATS_CLIENT_PORT = 4222
NATS_ROUTE_PORT = 6222
CACHE_PORT = 6379

NatsCommand = Literal["configure", "gate", "leave", "status", "streams", "backup", "restore"]
NATS_COMMANDS: tuple[NatsCommand, ...] = ("configure", "gate", "leave", "status", "streams", "backup", "restore")

NATS_ALARM_KINDS = (
    "leaderless",
    "routes-missing",
    "slow-consumers",
    "disk",
    "memory",
    "store",
    "authentication-failures",
    "replica-lag",
    "unhealthy",
    "backup-age",
    "node-down",
    "function-failed",
)

CACHE_ALARM_KINDS = (
    "cpu",
    "cpu-credits",
    "memory",
    "evictions",
    "replication-lag",
    "connections",
    "authentication-failures",
)
CacheLog = Literal["slow-log", "engine-log"]
AlarmKind = Literal["cpu-high", "memory-high", "tasks-low"]
ALARM_KINDS: tuple[AlarmKind, ...] = ("cpu-high", "memory-high", "tasks-low")
PRODUCTION = "prod"


def _outside_production(name: str, environment: str) -> str:
    """Production carries the names of the order; every other environment says which one it is."""
    return name if environment == PRODUCTION else f"{name}-{environment}"


def alerts_topic(environment: str) -> str:
    """Return the name of the topic that every alarm acts on."""
    return _outside_production(f"{PLATFORM}-alerts", environment)


def fallback_topic(environment: str) -> str:
    """Return the name of the topic that tells when the first one does not deliver."""
    return _outside_production(f"{PLATFORM}-alerts-fallback", environment)


def log_group(environment: str) -> str:
    """Return the name of the fleet's one log group."""
    return _outside_production(f"/ecs/{PLATFORM}-nats", environment)


def stack(environment: str, part: str) -> str:
    """Return a stack's name; `part` is one of `network`, `images`, … or what `services_part` gives."""
    return f"{PLATFORM}-{environment}-{part}"


def services_part(group: str, number: int) -> str:
    """Return the part of a group's stack: `services-game`, then `services-game-2` and so on."""
    return f"services-{group}" if number == 1 else f"services-{group}-{number}"


def cluster(environment: str) -> str:
    """Return the name of the ECS cluster."""
    return f"{PLATFORM}-{environment}"


def alarm(service: str, kind: AlarmKind, environment: str) -> str:
    """Return an alarm's name; it begins with the service's, so that a prefix lists exactly the service's three."""
    return f"{service}-{kind}-{environment}"


def alarm_prefixes(service: str) -> tuple[str, ...]:
    """Return what a service's alarm names begin with, in any environment."""
    return tuple(f"{service}-{kind}-" for kind in ALARM_KINDS)


def repository(name: str, environment: str) -> str:
    """Return the name of the image repository of a service, or of the reference runtime."""
    return f"{PLATFORM}-{environment}/{name}"


def task_role(service: str, environment: str) -> str:
    """Return the name of the role that a service's own code runs under."""
    return f"{PLATFORM}-{environment}-{service}"


def task_family(service: str, environment: str) -> str:
    """Return the family of a service's task definitions."""
    return f"{PLATFORM}-{environment}-{service}"


def dashboard(environment: str) -> str:
    """Return the name of the fleet's dashboard."""
    return f"{PLATFORM}-{environment}"


def certificates_bucket(environment: str, account: str, region: str) -> str:
    """Return the name of the bucket that holds the environment's certificates."""
    return f"{PLATFORM}-{environment}-certificates-{account}-{region}"


def certificates_key_alias(environment: str) -> str:
    """Return the alias of the key that the certificates are encrypted with."""
    return f"alias/{PLATFORM}-{environment}-certificates"


def certificates_passphrase(environment: str) -> str:
    """Return the name of the secret with the passphrase of the certificate authority's keys."""
    return f"{PLATFORM}/{environment}/certificates/passphrase"


def certificates_function(environment: str) -> str:
    """Return the name of the function that issues and renews the certificates."""
    return f"{PLATFORM}-{environment}-certificates"


def certificates_delivery(environment: str) -> str:
    """Return the name of the SSM document that has a node fetch its certificates."""
    return f"{PLATFORM}-{environment}-deliver-certificates"


def nats_bucket(environment: str, account: str, region: str) -> str:
    """Return the name of the bucket with what the NATS machines run on, and their backups."""
    return f"{PLATFORM}-{environment}-nats-{account}-{region}"


def load_test_run(run: str) -> str:
    """Return where in the NATS bucket the workers of a load test find what they are to do, and leave what they have measured."""
    return f"{LOAD_TESTS}runs/{run}/"


def load_test_result(run: str) -> str:
    """Return where in the NATS bucket the result of a load test is kept; a run's name begins with its time."""
    return f"{LOAD_TEST_RESULTS}{run}.json"


def load_test_report(run: str) -> str:
    """Return where in the NATS bucket the page that shows the result is kept."""
    return f"{LOAD_TESTS}reports/{run}.html"


def nats_function(environment: str) -> str:
    """Return the name of the function that configures and rolls the NATS cluster."""
    return f"{PLATFORM}-{environment}-nats"


def nats_document_prefix(environment: str) -> str:
    """Return what the names of the documents of NATS begin with; a command follows."""
    return f"{PLATFORM}-{environment}-nats-"


def nats_document(environment: str, command: NatsCommand) -> str:
    """Return the name of the SSM document that has a NATS machine run a command of its agent."""
    return f"{nats_document_prefix(environment)}{command}"


def nats_roll(environment: str) -> str:
    """Return the name of the SSM Automation that replaces the NATS machines, one at a time."""
    return f"{PLATFORM}-{environment}-roll-nats"


def nats_alarm(kind: str, environment: str) -> str:
    """Return the name of an alarm of the NATS cluster."""
    return f"{PLATFORM_ALARM_PREFIX}nats-{kind}-{environment}"


def nats_log_group(environment: str) -> str:
    """Return the name of the log group of the NATS machines: their servers' logs and their metrics."""
    return _outside_production(f"/nats/{PLATFORM}", environment)


def node_certificate_prefixes(node: str) -> tuple[str, str]:
    """Return where a node's certificates lie in the bucket: towards clients, and towards the other nodes."""
    return f"server/{node}/", f"route/{node}/"


def certificate_prefix(service: str) -> str:
    """Return where a service's own certificate lies in the bucket."""
    return f"client/{service}/"


def service_identity(service: str) -> str:
    """Return the one DNS name in a service's client certificate, which is its NATS user too."""
    return f"{service}.{SERVICE_DOMAIN}"


def nats_servers() -> tuple[str, ...]:
    """Return the addresses that a client connects to."""
    return tuple(f"tls://{node}.{NATS_DOMAIN}:{NATS_CLIENT_PORT}" for node in NATS_NODES)


def secret(service: str, name: str, environment: str) -> str:
    """Return the name of a secret that belongs to one service."""
    return f"{PLATFORM}/{environment}/{service}/{name}"


def cache_secret(service: str, environment: str) -> str:
    """Return the name of the secret with a service's user and password in the cache.

    It does not end in the service's name: Secrets Manager takes a hyphen and six characters for the end that it adds itself, and
    would look for another secret.
    """
    return f"{PLATFORM}/{environment}/cache/{service}/user"


def cache_passwords_function(environment: str) -> str:
    """Return the name of the function that makes the cache's users and changes their passwords."""
    return f"{PLATFORM}-{environment}-cache-passwords"


def cache_probe_function(environment: str) -> str:
    """Return the name of the function that tries a password where the cache is."""
    return f"{PLATFORM}-{environment}-cache-probe"


def cache_alarm(kind: str, member: str, environment: str) -> str:
    """Return the name of an alarm of one node of the cache."""
    return f"{PLATFORM_ALARM_PREFIX}cache-{kind}-{member}-{environment}"


def cache_alarms(members: Iterable[str], environment: str, *, is_burstable: bool) -> list[str]:
    """Return the names of all alarms of a cache.

    One without replicas has none that falls behind, and one whose nodes' speed is their own has no credits to use up.
    """
    each = list(members)
    has = {"cpu-credits": is_burstable, "replication-lag": any(not member.endswith("001") for member in each)}
    kinds = [kind for kind in CACHE_ALARM_KINDS if has.get(kind, True)]
    return [cache_alarm(kind, member, environment) for kind in kinds for member in each]


def cache_log_group(environment: str, kind: CacheLog) -> str:
    """Return the name of the log group that the cache writes to."""
    return f"/elasticache/{PLATFORM}-{environment}/{kind}"


def parameter(environment: str, name: str) -> str:
    """Return the SSM parameter that holds an input of the account, such as the gateway's certificate."""
    return f"/{PLATFORM}/{environment}/{name}"
