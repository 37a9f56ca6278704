"""Find a message's class by its full name, as the catalog writes it."""

from __future__ import annotations

import difflib
import importlib
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

_GENERATED = Path(__file__).resolve().parent / "generated"


class UnknownMessageError(LookupError):
    """No message has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        close = difflib.get_close_matches(name, message_names(), n=1)
        super().__init__(f"no message is called {name}" + (f"; did you mean {close[0]}?" if close else ""))


@cache
def message_class(name: str) -> type[Message]:
    """Return the class of a message by its full name, such as `gaming.game.v1.GetStateRequest`.

    Loads the message's package, and no other but those that it imports.

    Raises:
        UnknownMessageError: No message has this name.
    """
    _load(name.rpartition(".")[0])
    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        raise UnknownMessageError(name) from None
    return message_factory.GetMessageClass(descriptor)


def message_names() -> tuple[str, ...]:
    """Return the full names of all messages of ours, sorted."""
    return tuple(sorted(name for package in _modules() for name in _load(package)))


@cache
def _load(package: str) -> tuple[str, ...]:
    """Import a package's generated modules, which registers its messages, and return their full names."""
    modules = [importlib.import_module(f"proto.generated.{package}.{name}") for name in _modules().get(package, ())]
    return tuple(
        message.full_name for module in modules for message in module.DESCRIPTOR.message_types_by_name.values()
    )


@cache
def _modules() -> Mapping[str, list[str]]:
    """Return the generated modules of each protobuf package."""
    modules = defaultdict(list)
    for path in sorted(_GENERATED.rglob("*_pb2.py")):
        modules[".".join(path.parent.relative_to(_GENERATED).parts)].append(path.stem)
    return dict(modules)
