"""The service catalog and the environments: typed, checked, and the only place where a service is described."""

from catalog.catalog import Catalog, Group
from catalog.environment import Environment
from catalog.faults import CatalogError, Fault
from catalog.load import check_catalog, load_catalog, load_environment
from catalog.service import Service

__all__ = [
    "Catalog",
    "CatalogError",
    "Environment",
    "Fault",
    "Group",
    "Service",
    "check_catalog",
    "load_catalog",
    "load_environment",
]
