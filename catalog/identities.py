"""Whom an environment's certificate authority certifies: nodes, enabled services and the reserved identities."""

from __future__ import annotations

from typing import Any

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment


def certificate_request(catalog: Catalog, environment: Environment) -> dict[str, Any]:
    """Return what is asked of the certificate authority, as `tls.CertificateRequest.from_plain` reads it.

    A disabled service is not in it; its certificate goes once nothing uses it any more.
    """
    return {
        # On one machine all nodes have one address.
        **({"shared_node_names": ["localhost"]} if environment.name == names.LOCAL else {}),
        "environment": environment.name,
        "organization": names.PLATFORM,
        "client_domain": names.SERVICE_DOMAIN,
        "node_domain": names.NATS_DOMAIN,
        "nodes": [{"name": node} for node in names.NATS_NODES],
        "services": [service.name for service in catalog.enabled],
        "identities": list(names.RESERVED_IDENTITIES),
        "key_type": environment.certificates.key_type,
    }
