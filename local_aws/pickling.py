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
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from moto.core.base_backend import AccountSpecificBackend, BackendDict
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy

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


@functools.cache
def _policy_documents() -> dict[str, dict[str, Any]]:
    documents: dict[str, dict[str, Any]] = json.loads(aws_managed_policies_data)
    return documents


def _managed_policy(name: str, account: str, partition: str) -> AWSManagedPolicy:
    return AWSManagedPolicy.from_data(name, account, partition, _policy_documents()[name])


def _default_dict(kind: type[defaultdict[Any, Any]], factory: Any) -> defaultdict[Any, Any]:
    made = kind.__new__(kind)
    defaultdict.__init__(made, factory)
    return made


def _private_key(content: bytes) -> Any:
    return serialization.load_der_private_key(content, None)


def _reduce_lock(lock: Any) -> Any:
    return _LOCK_TYPES[type(lock)], ()


def _reduce_policy(policy: AWSManagedPolicy) -> Any:
    # Thousands of them, of which nobody may change more than how often they are attached.
    state = {"id": policy.id, "attachment_count": policy.attachment_count}
    return _managed_policy, (policy.name, policy.account_id, policy.partition), state


def _reduce_file(file: tempfile.SpooledTemporaryFile[bytes]) -> Any:
    position = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(position)
    return _spooled, (content, position)


def _reduce_private_key(key: Any) -> Any:
    return _private_key, (key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),)


def _reduce_public_key(key: Any) -> Any:
    return serialization.load_der_public_key, (key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),)


def _reduce_certificate(certificate: x509.Certificate) -> Any:
    return _certificate, (certificate.public_bytes(Encoding.DER),)


def _certificate(der: bytes) -> x509.Certificate:
    # A function of ours: pickle finds the library's own by a module's name that cannot be imported.
    return x509.load_der_x509_certificate(der)


def _reduce_weak_values(values: weakref.WeakValueDictionary[Any, Any]) -> Any:
    return weakref.WeakValueDictionary, (dict(values.items()),)


def _reduce_default_dict(values: defaultdict[Any, Any]) -> Any:
    # For a class of moto's own pickle would call it with the factory alone, whatever the class wants.
    return (
        _default_dict,
        (type(values), values.default_factory),
        getattr(values, "__dict__", None) or None,
        None,
        iter(values.items()),
    )


def _reduce_function(function: types.FunctionType) -> Any:
    if "<locals>" not in function.__qualname__:
        return NotImplemented
    cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    return _function, (
        marshal.dumps(function.__code__),
        function.__module__,
        function.__name__,
        function.__defaults__,
        cells,
    )


def _reduce_services(backends: BackendDict[Any]) -> Any:
    return service_backends, (backends.backend.__module__, backends.service_name)


def _account_backends(module: str, service: str, account: str) -> AccountSpecificBackend[Any]:
    return service_backends(module, service)[account]


def _reduce_account(backends: AccountSpecificBackend[Any]) -> Any:
    return _account_backends, (backends.backend.__module__, backends.service_name, backends.account_id)


def _reduce_thread(_thread: threading.Thread) -> Any:
    return type(None), ()


_LOCK_TYPES: dict[type, Callable[[], Any]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
    threading.Condition: threading.Condition,
    threading.Event: threading.Event,
}
_REDUCERS: dict[type, Callable[[Any], Any]] = {
    **dict.fromkeys(_LOCK_TYPES, _reduce_lock),
    AWSManagedPolicy: _reduce_policy,
    AccountSpecificBackend: _reduce_account,
    BackendDict: _reduce_services,
    tempfile.SpooledTemporaryFile: _reduce_file,
    types.FunctionType: _reduce_function,
    weakref.WeakValueDictionary: _reduce_weak_values,
}
_FAMILIES: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (defaultdict, _reduce_default_dict),
    (threading.Thread, _reduce_thread),
    ((rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey), _reduce_private_key),
    ((rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey), _reduce_public_key),
    (x509.Certificate, _reduce_certificate),
)


@functools.cache
def _reducer_for(kind: type) -> Callable[[Any], Any] | None:
    return _REDUCERS.get(kind) or next((reduce for family, reduce in _FAMILIES if issubclass(kind, family)), None)


class StatePickler(pickle.Pickler):
    """Writes moto's back ends: locks come back open, temporary files with their content, dictionaries of services by name.

    `persistent_id` would be the usual hook for the last, but pickle calls it for every number and string.
    """

    def reducer_override(self, obj: Any) -> Any:
        """Say how to rebuild what pickle cannot take."""
        kind: Any = type(obj)
        reduce = _reducer_for(kind)
        return reduce(obj) if reduce else NotImplemented


def dumps(value: Any) -> bytes:
    """Return a value as bytes."""
    buffer = io.BytesIO()
    StatePickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    return buffer.getvalue()


def loads(content: bytes) -> Any:
    """Return the value that the bytes hold."""
    return pickle.loads(content)  # noqa: S301 - our own bytes, whose hash has been compared
