"""Load a package's public names when they are first used, so that a probe of the health endpoint does not pay for all of it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def lazy_attributes(package: str, places: Mapping[str, str]) -> Callable[[str], object]:
    """Return a module's `__getattr__` that takes each public name from the module which defines it.

    Args:
        package: Name of the module that shows the names.
        places: Module of each name.
    """

    def load(name: str) -> object:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(places[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
