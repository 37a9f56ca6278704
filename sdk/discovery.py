"""The NATS service protocol (ADR-32): who is there, what it answers, how it fares; what `nats micro ls` and `stats` show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sdk.breaker_registry import BreakerRegistry
from sdk.nats_client import QUEUE_GROUP, NATSClient
from sdk.subscription import Delivery

_VERBS = ("PING", "INFO", "STATS")


@dataclass(slots=True)
class EndpointStatistics:
    """What an endpoint has done."""

    subject: str
    metadata: Mapping[str, str]
    requests: int = 0
    errors: int = 0
    last_error: str = ""
    seconds: float = 0.0

    def count(self, seconds: float, error: str = "") -> None:
        """Count an answer."""
        self.requests += 1
        self.seconds += seconds
        if error:
            self.errors += 1
            self.last_error = error

    def _identity(self) -> dict[str, object]:
        # A name has no dots, by the protocol.
        return {"name": self.subject.replace(".", "-"), "subject": self.subject, "queue_group": QUEUE_GROUP}

    def info(self) -> dict[str, object]:
        """Return it as INFO tells it."""
        return {**self._identity(), "metadata": dict(self.metadata)}

    def stats(self) -> dict[str, object]:
        """Return it as STATS tells it."""
        total = int(self.seconds * 1e9)
        return {
            **self._identity(),
            "num_requests": self.requests,
            "num_errors": self.errors,
            "last_error": self.last_error,
            "processing_time": total,
            "average_processing_time": total // self.requests if self.requests else 0,
        }


class Discovery:
    """Answers for one instance of a service."""

    def __init__(
        self,
        *,
        name: str,
        instance: str,
        version: str,
        description: str,
        endpoints: Mapping[str, EndpointStatistics],
    ) -> None:
        self._identity: dict[str, object] = {"name": name, "id": instance, "version": version}
        self._breakers: BreakerRegistry | None = None
        self._name = name
        self._instance = instance
        self._description = description
        self._endpoints = endpoints
        self._started = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"

    async def subscribe(self, client: NATSClient) -> None:
        """Listen: to questions to all services, to those of this name, and to this instance."""
        self._breakers = client.breakers
        for verb in _VERBS:
            for subject in (f"$SRV.{verb}", f"$SRV.{verb}.{self._name}", f"$SRV.{verb}.{self._name}.{self._instance}"):
                await client.subscribe(subject, self._answer)

    def _metadata(self) -> dict[str, str]:
        """Return what its circuit breakers are set to, and which of them are not closed."""
        if self._breakers is None:
            return {}
        told = {f"circuit_breaker.{name}": value for name, value in self._breakers.settings().items()}
        return {**told, "circuit_breaker.not_closed": " ".join(self._breakers.not_closed())}

    async def _answer(self, delivery: Delivery) -> None:
        verb = delivery.subject.split(".")[1]
        kind = f"io.nats.micro.v1.{verb.lower()}_response"
        answer = {"type": kind, **self._identity, "metadata": self._metadata()}
        if verb == "INFO":
            answer |= {
                "description": self._description,
                "endpoints": [each.info() for each in self._endpoints.values()],
            }
        elif verb == "STATS":
            answer |= {"started": self._started, "endpoints": [each.stats() for each in self._endpoints.values()]}
        await delivery.respond(json.dumps(answer).encode())
