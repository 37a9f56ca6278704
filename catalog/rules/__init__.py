"""What no single value can tell: the rules between the keys of an entry, between entries, and of AWS.

Each module checks one side of a draft and notes what it finds; the order does not matter.
"""

from __future__ import annotations

from catalog.catalog import Catalog
from catalog.draft import Draft
from catalog.environment import Environment
from catalog.rules import environments, events, naming, plaintext, sizing, traffic, variables


def check_catalog_rules(draft: Draft[Catalog]) -> None:
    """Note every fault that the rules find in a catalog."""
    naming.check(draft)
    sizing.check(draft)
    traffic.check(draft)
    events.check(draft)
    variables.check(draft)
    plaintext.check(draft)


def check_environment_rules(draft: Draft[Environment]) -> None:
    """Note every fault that the rules find in an environment."""
    environments.check(draft)
