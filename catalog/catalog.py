"""The catalog as a whole, typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints

from catalog.model import Model
from catalog.nats_contract import Event, Subject
from catalog.service import GroupName, Route, Service, ServiceName

MAX_SERVICES_IN_STACK = 40
MAX_CACHE_USERS = 99  # a user group of ElastiCache has 100, and one is the user called default


class Group(Model):
    """A group of services: a row of the dashboard and a stack of its own."""

    description: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """What the services of the group have in common."""
    gateway: bool = False
    """Whether the services of the group stand behind the load balancer and serve the HTTP routes."""


class Catalog(Model):
    """Every service of the platform, enabled or not, in the order of the file."""

    groups: Annotated[Mapping[GroupName, Group], Field(min_length=1)]
    """The groups; each is a row of the dashboard and a stack."""
    services: Mapping[ServiceName, Service]
    """The services, by name."""

    @property
    def enabled(self) -> list[Service]:
        """The services that are deployed."""
        return [service for service in self.services.values() if service.enabled]

    @property
    def disabled(self) -> list[Service]:
        """The services that keep nothing but their entry and their repository."""
        return [service for service in self.services.values() if not service.enabled]

    def enabled_in(self, group: str, stack: int) -> list[Service]:
        """Return the enabled services of one services stack."""
        return [service for service in self.enabled if service.group == group and service.stack == stack]

    @property
    def services_stacks(self) -> list[tuple[str, int]]:
        """The services stacks as group and number, in the order of the groups.

        Every group has its first stack, and a stack whose services are all disabled stays: a stack that left the app would
        leave its resources behind, since a deployment removes no stack.
        """
        last = dict.fromkeys(self.groups, 1)
        for service in self.services.values():
            if service.group in last:
                last[service.group] = max(last[service.group], service.stack)
        return [(group, number) for group, count in last.items() for number in range(1, count + 1)]

    def is_gateway(self, service: Service) -> bool:
        """Tell whether a service stands behind the load balancer."""
        return self.groups[service.group].gateway

    @property
    def subjects(self) -> dict[str, Subject]:
        """Every subject that an enabled service answers."""
        return {name: subject for service in self.enabled for name, subject in service.nats.serves.items()}

    @property
    def events(self) -> dict[str, Event]:
        """Every subject or pattern of events that an enabled service tells."""
        return {name: event for service in self.enabled for name, event in service.nats.publishes.items()}

    @property
    def routes(self) -> list[Route]:
        """Every HTTP route that leads to an enabled service."""
        return [route for service in self.enabled for route in service.routes]
