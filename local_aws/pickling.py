"""moto's back ends as bytes: pickle, and an answer for each thing in them that pickle does not know or should not copy.

The bytes are read back by the same versions of Python and moto on the same machine alone; see `state`.
"""

from __future__ import annotations

import functools
import io
import json
import marshal
import pickle
import sys
import tempfile
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy

_LOCK_TYPES: dict[type, Callable[[], Any]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
    threading.Condition: threading.Condition,
    threading.Event: threading.Event,
}
_SPOOLED_BYTES = 512 * 1024


def service_backends(module: str, service: str) -> BackendDict[Any]:
    """Return the dictionary of a service's back ends, which lives in a module of moto's.

    Raises:
        LookupError: this version of moto has none there.
    """
    __import__(module)
    for value in vars(sys.modules[module]).values():
        if isinstance(value, BackendDict) and value.service_name == service:
            return value
    raise LookupError(f"no back ends of {service} in {module}")


def _function(code: bytes, module: str, name: str, defaults: Any, cells: tuple[Any, ...]) -> types.FunctionType:
    __import__(module)
    closure = tuple(types.CellType(cell) for cell in cells)
    return types.FunctionType(marshal.loads(code), vars(sys.modules[module]), name, defaults, closure)  # noqa: S302 - our own bytes


def _spooled(content: bytes, position: int) -> tempfile.SpooledTemporaryFile[bytes]:
    file = tempfile.SpooledTemporaryFile(max_size=_SPOOLED_BYTES)  # noqa: SIM115 - whoever holds the key closes it
    file.write(content)
    file.seek(position)
    return file


def _weak_values(items: dict[Any, Any]) -> weakref.WeakValueDictionary[Any, Any]:
    return weakref.WeakValueDictionary(items)


@functools.cache
def _policy_documents() -> dict[str, dict[str, Any]]:
    documents: dict[str, dict[str, Any]] = json.loads(aws_managed_policies_data)
    return documents


def _managed_policy(name: str, account: str, partition: str) -> AWSManagedPolicy:
    return AWSManagedPolicy.from_data(name, account, partition, _policy_documents()[name])


class StatePickler(pickle.Pickler):
    """Writes moto's back ends: locks come back open, temporary files with their content, dictionaries of services by name."""

    def persistent_id(self, obj: Any) -> Any:
        """Name what is a part of moto rather than of its state."""
        if isinstance(obj, BackendDict):
            return ("service", obj.backend.__module__, obj.service_name)
        if isinstance(obj, AccountSpecificBackend):
            return ("account", obj.backend.__module__, obj.service_name, obj.account_id)
        return None

    def reducer_override(self, obj: Any) -> Any:
        """Say how to rebuild what pickle cannot take."""
        kind = type(obj)
        if kind in _LOCK_TYPES:
            return _LOCK_TYPES[kind], ()
        if kind is AWSManagedPolicy:
            # Thousands of them, of which nobody may change more than how often they are attached.
            return _managed_policy, (obj.name, obj.account_id, obj.partition), {"id": obj.id, "attachment_count": obj.attachment_count}
        if kind is tempfile.SpooledTemporaryFile:
            position = obj.tell()
            obj.seek(0)
            content = obj.read()
            obj.seek(position)
            return _spooled, (content, position)
        if kind is weakref.WeakValueDictionary:
            return _weak_values, (dict(obj.items()),)
        if kind is types.FunctionType and "<locals>" in obj.__qualname__:
            cells = tuple(cell.cell_contents for cell in obj.__closure__ or ())
            return _function, (marshal.dumps(obj.__code__), obj.__module__, obj.__name__, obj.__defaults__, cells)
        if isinstance(obj, threading.Thread):
            return type(None), ()
        return NotImplemented


class StateUnpickler(pickle.Unpickler):
    """Reads what `StatePickler` wrote."""

    def persistent_load(self, pid: Any) -> Any:
        """Return the part of moto that a name stands for."""
        kind, module, service, *account = pid
        backends = service_backends(module, service)
        return backends if kind == "service" else backends[account[0]]


def dumps(value: Any) -> bytes:
    """Return a value as bytes."""
    buffer = io.BytesIO()
    StatePickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


def loads(content: bytes) -> Any:
    """Return the value that the bytes hold."""
    return StateUnpickler(io.BytesIO(content)).load()
