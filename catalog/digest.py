"""A short name for what a catalog says, by which a result tells what it was found on."""

from __future__ import annotations

import hashlib

from catalog.catalog import Catalog
from catalog.contract import compact


def catalog_digest(catalog: Catalog) -> str:
    """Return the SHA-256 of the enabled services' entries; what is disabled or only said in a comment changes nothing."""
    entries = {service.name: service.model_dump(mode="json") for service in catalog.enabled}
    return hashlib.sha256(compact(entries).encode()).hexdigest()
