"""A service's task definition, key by key, against the catalog."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from catalog import contract, names
from catalog.service import Service
from fleet.verify.check import Checks
from fleet.verify.scope import Scope

_USER = "10001:10001"
_GIVEN_BY_AWS = "CACHE_ENDPOINT"
"""A variable whose value only the deployment knows: the address that AWS gave the cache."""
_SECRET_END = re.compile(r"-[A-Za-z0-9]{6}$")


def check_task_definition(scope: Scope, checks: Checks, service: Service, definition: Mapping[str, Any]) -> None:
    """Check the task definition that a service runs now."""
    cpu_units, memory_mib = scope.environment.task_size(service)
    platform = definition.get("runtimePlatform", {})
    expected = {
        "family": (names.task_family(service.name, scope.name), definition.get("family")),
        "cpu": (str(cpu_units), definition.get("cpu")),
        "memory": (str(memory_mib), definition.get("memory")),
        "architecture": (service.architecture.upper(), platform.get("cpuArchitecture")),
        "network-mode": ("awsvpc", definition.get("networkMode")),
        "launch-type": (["FARGATE"], definition.get("requiresCompatibilities")),
        "task-role": (
            scope.role_arn(names.task_role(service.name, scope.name)),
            definition.get("taskRoleArn"),
        ),
    }
    for key, (wanted, found) in expected.items():
        checks.equal(f"task.{key}", service.name, wanted, found)
    execution_role = definition.get("executionRoleArn")
    checks.holds("task.execution-role", service.name, bool(execution_role), "a role", execution_role or "none")
    containers = definition.get("containerDefinitions", [])
    checks.equal("task.containers", service.name, [service.name], [container["name"] for container in containers])
    for container in containers:
        if container["name"] == service.name:
            _check_container(scope, checks, service, container)


def _check_container(scope: Scope, checks: Checks, service: Service, container: Mapping[str, Any]) -> None:
    ports = [names.HEALTH_PORT, names.GATEWAY_PORT] if scope.catalog.is_gateway(service) else [names.HEALTH_PORT]
    expected = {
        "image": (_image(scope, service), container.get("image")),
        "command": (service.command, container.get("command") or None),
        "user": (_USER, container.get("user")),
        "read-only-root": (True, container.get("readonlyRootFilesystem")),
        "privileged": (False, container.get("privileged", False)),
        "ports": (sorted(ports), sorted(port["containerPort"] for port in container.get("portMappings", []))),
    }
    for key, (wanted, found) in expected.items():
        checks.equal(f"container.{key}", service.name, wanted, found)
    _check_health(checks, service, container.get("healthCheck", {}))
    _check_logging(scope, checks, service, container.get("logConfiguration", {}))
    found_variables = {one["name"]: one.get("value") for one in container.get("environment", [])}
    _check_variables(checks, service, _variables(scope, service), found_variables)
    found_secrets = {one["name"]: one["valueFrom"] for one in container.get("secrets", [])}
    _check_secrets(scope, checks, service, found_secrets)


def _image(scope: Scope, service: Service) -> str:
    image = service.image
    repository = names.repository(image.repository or service.name, scope.name)
    suffix = "amazonaws.com.cn" if scope.account.partition == "aws-cn" else "amazonaws.com"
    registry = f"{scope.account.account_id}.dkr.ecr.{scope.environment.region}.{suffix}"
    return f"{registry}/{repository}" + (f"@{image.digest}" if image.digest else f":{image.tag}")


def _check_health(checks: Checks, service: Service, found: Mapping[str, Any]) -> None:
    check = service.health_check
    url = f"http://127.0.0.1:{names.HEALTH_PORT}{check.path}"
    expected = {
        "command": ["CMD", "python", "-m", "sdk.health_check_http", "--probe", url],
        "interval": check.interval_seconds,
        "timeout": check.timeout_seconds,
        "retries": check.retries,
        "startPeriod": check.start_period_seconds,
    }
    for key, wanted in expected.items():
        checks.equal(f"health-check.{key}", service.name, wanted, found.get(key))


def _check_logging(scope: Scope, checks: Checks, service: Service, found: Mapping[str, Any]) -> None:
    checks.equal("logging.driver", service.name, "awslogs", found.get("logDriver"))
    options = found.get("options", {})
    expected = {
        "awslogs-group": names.log_group(scope.name),
        "awslogs-region": scope.environment.region,
        "awslogs-stream-prefix": service.name,
    }
    for key, wanted in expected.items():
        checks.equal(f"logging.{key}", service.name, wanted, options.get(key))


def _variables(scope: Scope, service: Service) -> dict[str, str]:
    """Return the container's variables; one that AWS gives its value to stands here without one."""
    variables = {
        "SERVICE_NAME": service.name,
        "FLEET_ENVIRONMENT": scope.name,
        "NATS_SERVERS": ",".join(names.nats_servers()),
        "NATS_IDENTITY": names.service_identity(service.name),
        "NATS_OUTAGE_TOLERANCE_SECONDS": str(service.health_check.nats_outage_tolerance_seconds),
        "SERVICE_CONTRACT": contract.service_contract(scope.catalog, service),
        "HEALTH_PORT": str(names.HEALTH_PORT),
        "HEALTH_PATH": service.health_check.path,
        "CERTIFICATES_BUCKET": names.certificates_bucket(
            scope.name, scope.account.account_id, scope.environment.region
        ),
        "CERTIFICATES_PREFIX": names.certificate_prefix(service.name),
    }
    if service.cache:
        variables[_GIVEN_BY_AWS] = ""
    if scope.catalog.is_gateway(service):
        variables["GATEWAY_ROUTES"] = contract.gateway_routes(scope.catalog)
    return {**variables, **service.environment}


def _check_variables(
    checks: Checks, service: Service, expected: Mapping[str, str], found: Mapping[str, str | None]
) -> None:
    for name, value in expected.items():
        if name == _GIVEN_BY_AWS and not value:
            checks.holds(
                f"variable.{name}", service.name, bool(found.get(name)), "an address", found.get(name) or "none"
            )
        else:
            checks.equal(f"variable.{name}", service.name, value, found.get(name))
    checks.equal("variable.others", service.name, [], sorted(found.keys() - expected.keys()))


def _check_secrets(scope: Scope, checks: Checks, service: Service, found: Mapping[str, str]) -> None:
    expected = {
        variable: (secret.name or names.secret(service.name, variable, scope.name), secret.field or "")
        for variable, secret in service.secrets.items()
    }
    if service.cache:
        expected["CACHE_SECRET"] = (names.cache_secret(service.name, scope.name), "")
    for variable, (name, key) in expected.items():
        wanted = f"{name}, {key}" if key else name
        checks.equal(f"secret.{variable}", service.name, wanted, _secret(scope, found.get(variable), name))
    checks.equal("secret.others", service.name, [], sorted(found.keys() - expected.keys()))


def _secret(scope: Scope, value_from: str | None, name: str) -> str | None:
    """Return the name of a secret and the key inside it; an ARN may end in six random characters, or do without."""
    if value_from is None:
        return None
    prefix = scope.arn("secretsmanager", "secret:")
    if not value_from.startswith(prefix):
        return value_from
    found, _, rest = value_from.removeprefix(prefix).partition(":")
    key = rest.partition(":")[0]
    plain = found if found == name else _SECRET_END.sub("", found)
    return f"{plain}, {key}" if key else plain
