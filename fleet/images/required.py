"""Which images an environment needs, by the catalog alone."""

from __future__ import annotations

from dataclasses import dataclass

from catalog import names
from catalog.catalog import Catalog
from catalog.service import Architecture


@dataclass(frozen=True, slots=True)
class RequiredImage:
    """An image that one or more enabled services run."""

    repository: str
    """Full name of the repository."""
    tag: str | None
    digest: str | None
    architectures: frozenset[Architecture]
    services: tuple[str, ...]

    @property
    def reference(self) -> str:
        """The image as a task definition names it, without the registry."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"

    @property
    def source(self) -> str:
        """Folder below `images/` that it is built from."""
        return self.repository.rpartition("/")[2]


def repositories(catalog: Catalog, environment: str) -> list[str]:
    """Return the repositories that an environment has: one an entry, enabled or not, and that of the reference runtime."""
    return [names.repository(name, environment) for name in (names.REFERENCE_RUNTIME, *catalog.services)]


def required_images(catalog: Catalog, environment: str) -> list[RequiredImage]:
    """Return every image that an enabled service runs, once each."""
    users: dict[tuple[str, str | None, str | None], list[str]] = {}
    for service in catalog.enabled:
        repository = names.repository(service.image.repository or service.name, environment)
        users.setdefault((repository, service.image.tag, service.image.digest), []).append(service.name)
    return [
        RequiredImage(
            repository,
            tag,
            digest,
            frozenset(catalog.services[name].architecture for name in services),
            tuple(services),
        )
        for (repository, tag, digest), services in users.items()
    ]
