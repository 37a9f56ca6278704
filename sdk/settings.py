"""What a container is told, read from its environment in one go, every fault at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sdk.certificates import CertificateSource, DirectoryCertificates
from sdk.contract import Contract
from sdk.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Who a service is, and where its platform is."""

    service: str
    servers: tuple[str, ...]
    environment: str = "local"
    contract: Contract = field(default_factory=Contract)
    certificates: CertificateSource | None = None
    """None for servers without TLS, which no environment has: for tests and benchmarks."""
    health_host: str = "0.0.0.0"  # noqa: S104  # a container of its own; security groups say who comes in
    health_port: int = 8080
    health_path: str = "/health"
    nats_outage_tolerance_seconds: float = 180.0
    version: str = "0.1.0"

    @property
    def inbox_prefix(self) -> str:
        """Below which answers reach this service and no other."""
        return f"_INBOX.{self.service}"

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> Settings:
        """Read the variables that every container of the platform has.

        Raises:
            ConfigurationError: Some are missing or are not what they must be; all of them are told.
        """
        faults: list[str] = []
        servers = tuple(each.strip() for each in _given(variables, "NATS_SERVERS", faults).split(",") if each.strip())
        service = _given(variables, "SERVICE_NAME", faults)
        port = _number(variables, "HEALTH_PORT", 8080, faults)
        tolerance = _number(variables, "NATS_OUTAGE_TOLERANCE_SECONDS", 180, faults)
        contract, certificates = Contract(), None
        try:
            contract = Contract.from_json(variables.get("SERVICE_CONTRACT", "{}"))
        except ConfigurationError as error:
            faults.append(str(error))
        try:
            certificates = certificate_source(variables)
        except ConfigurationError as error:
            faults.append(str(error))
        if faults:
            raise ConfigurationError("the environment of this process is not complete:\n  " + "\n  ".join(faults))
        return cls(
            service=service,
            servers=servers,
            environment=variables.get("FLEET_ENVIRONMENT", "local"),
            contract=contract,
            certificates=certificates,
            health_host=variables.get("HEALTH_HOST") or cls.health_host,
            health_port=int(port),
            health_path=variables.get("HEALTH_PATH", "/health"),
            nats_outage_tolerance_seconds=tolerance,
        )


def certificate_source(variables: Mapping[str, str]) -> CertificateSource:
    """Return where the certificates of this process come from.

    Raises:
        ConfigurationError: Nothing says so.
    """
    folder = variables.get("CERTIFICATES_DIRECTORY")
    if folder:
        return DirectoryCertificates(Path(folder))
    bucket, prefix = variables.get("CERTIFICATES_BUCKET"), variables.get("CERTIFICATES_PREFIX")
    if bucket and prefix:
        from sdk.s3_certificates import S3Certificates  # noqa: PLC0415  # 6 MiB that a process without a bucket does not need

        return S3Certificates(bucket, prefix)
    raise ConfigurationError(
        "neither CERTIFICATES_BUCKET with CERTIFICATES_PREFIX (in AWS) nor CERTIFICATES_DIRECTORY (a folder with chain.pem, "
        "key.pem and server-ca.pem) is set"
    )


def _given(variables: Mapping[str, str], name: str, faults: list[str]) -> str:
    value = variables.get(name, "").strip()
    if not value:
        faults.append(f"{name} is not set")
    return value


def _number(variables: Mapping[str, str], name: str, default: float, faults: list[str]) -> float:
    text = variables.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:  # noqa: PLR2004  # neither a port nor a tolerance is ever near
        faults.append(f"{name} is {text!r}; it is a number, such as {default:g}")
        return default
    return value
