"""The runtime of a service: client, circuit breaker, errors, health, and `Service`, which puts them together.

    from sdk import Context, NATSClient, NotFoundError, Service, Settings

Names are loaded when they are first used. `sdk.service` shows a whole service, `sdk.nats_client` the client by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk.lazy import lazy_attributes

if TYPE_CHECKING:
    from sdk.breaker_registry import BreakerRegistry
    from sdk.buckets import Bucket, Entry
    from sdk.cache import Cache
    from sdk.certificates import Certificates, CertificateSource, DirectoryCertificates
    from sdk.circuit_breaker import AsyncCircuitBreaker, CircuitState, Outcome, Snapshot, Transition
    from sdk.contract import Contract, Endpoint, Event
    from sdk.deadline import deadline_in, remaining_seconds
    from sdk.errors import (
        AlreadyExistsError,
        BulkheadFullError,
        CallError,
        CertificateError,
        CircuitOpenError,
        ConfigurationError,
        ConflictError,
        ErrorCode,
        InternalServiceError,
        InvalidRequestError,
        NotFoundError,
        PayloadTooLargeError,
        PermissionDeniedError,
        RequestCancelledError,
        ResourceExhaustedError,
        RetryExhaustedError,
        SdkError,
        ServiceTimeoutError,
        ServiceUnavailableError,
        UnauthenticatedError,
        UnimplementedError,
        Violation,
    )
    from sdk.handlers import Context
    from sdk.health import Health
    from sdk.health_server import HealthServer
    from sdk.logs import configure_logging
    from sdk.metrics import Metrics
    from sdk.nats_client import DrainReport, NATSClient
    from sdk.retry import RetryPolicy
    from sdk.s3_certificates import S3Certificates
    from sdk.service import Service
    from sdk.settings import Settings
    from sdk.streams import Consumer, StoredMessage
    from sdk.subscription import Delivery, Subscription
    from sdk.trace import Trace, current_trace

_PLACES = {
    "sdk.breaker_registry": ("BreakerRegistry",),
    "sdk.buckets": ("Bucket", "Entry"),
    "sdk.cache": ("Cache",),
    "sdk.certificates": ("CertificateSource", "Certificates", "DirectoryCertificates"),
    "sdk.circuit_breaker": ("AsyncCircuitBreaker", "CircuitState", "Outcome", "Snapshot", "Transition"),
    "sdk.contract": ("Contract", "Endpoint", "Event"),
    "sdk.deadline": ("deadline_in", "remaining_seconds"),
    "sdk.errors": (
        "AlreadyExistsError",
        "BulkheadFullError",
        "CallError",
        "CertificateError",
        "CircuitOpenError",
        "ConfigurationError",
        "ConflictError",
        "ErrorCode",
        "InternalServiceError",
        "InvalidRequestError",
        "NotFoundError",
        "PayloadTooLargeError",
        "PermissionDeniedError",
        "RequestCancelledError",
        "ResourceExhaustedError",
        "RetryExhaustedError",
        "SdkError",
        "ServiceTimeoutError",
        "ServiceUnavailableError",
        "UnauthenticatedError",
        "UnimplementedError",
        "Violation",
    ),
    "sdk.handlers": ("Context",),
    "sdk.health": ("Health",),
    "sdk.health_server": ("HealthServer",),
    "sdk.logs": ("configure_logging",),
    "sdk.metrics": ("Metrics",),
    "sdk.nats_client": ("DrainReport", "NATSClient"),
    "sdk.retry": ("RetryPolicy",),
    "sdk.s3_certificates": ("S3Certificates",),
    "sdk.service": ("Service",),
    "sdk.settings": ("Settings",),
    "sdk.streams": ("Consumer", "StoredMessage"),
    "sdk.subscription": ("Delivery", "Subscription"),
    "sdk.trace": ("Trace", "current_trace"),
}

__all__ = [
    "AlreadyExistsError",
    "AsyncCircuitBreaker",
    "BreakerRegistry",
    "Bucket",
    "BulkheadFullError",
    "Cache",
    "CallError",
    "CertificateError",
    "CertificateSource",
    "Certificates",
    "CircuitOpenError",
    "CircuitState",
    "ConfigurationError",
    "ConflictError",
    "Consumer",
    "Context",
    "Contract",
    "Delivery",
    "DirectoryCertificates",
    "DrainReport",
    "Endpoint",
    "Entry",
    "ErrorCode",
    "Event",
    "Health",
    "HealthServer",
    "InternalServiceError",
    "InvalidRequestError",
    "Metrics",
    "NATSClient",
    "NotFoundError",
    "Outcome",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "RequestCancelledError",
    "ResourceExhaustedError",
    "RetryExhaustedError",
    "RetryPolicy",
    "S3Certificates",
    "SdkError",
    "Service",
    "ServiceTimeoutError",
    "ServiceUnavailableError",
    "Settings",
    "Snapshot",
    "StoredMessage",
    "Subscription",
    "Trace",
    "Transition",
    "UnauthenticatedError",
    "UnimplementedError",
    "Violation",
    "configure_logging",
    "current_trace",
    "deadline_in",
    "remaining_seconds",
]

if not TYPE_CHECKING:  # else a type checker would take every name for one that is there
    __getattr__ = lazy_attributes(__name__, {name: module for module, names in _PLACES.items() for name in names})
