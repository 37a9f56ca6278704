"""What the tests of a rollover see: a fleet in which everybody took up what the store holds, unless told otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from tls import Consumer, Observations, Pointer, Profile, Served, Store, pointers, require_record
from tls.observations import consumer_of


def served(pointer: Pointer) -> Served:
    """Return a certificate as it is served."""
    return Served(pointer.certificate.fingerprint, pointer.certificate.not_after)


def all_on(store: Store, now: datetime) -> Observations:
    """Return what is seen where everybody serves and trusts what the store holds, and all clients are connected."""
    current = pointers(store)
    checksums = {name: file.sha256 for name, file in require_record(store).record.files.items()}
    consumers: dict[str, Consumer] = {}
    peers = tuple(
        pointer.certificate.fingerprint for prefix, pointer in current.items() if prefix.startswith("client/")
    )
    for prefix, pointer in current.items():
        name = consumer_of(prefix)
        is_node = name.startswith("node/")
        consumer = consumers.get(name, Consumer(name, peers=peers if is_node else None))
        files = ("client-ca.pem", "route-ca.pem") if is_node else ("server-ca.pem",)
        consumers[name] = replace(
            consumer,
            serves={**consumer.serves, Profile(prefix.partition("/")[0]): served(pointer)},
            trusts={file: checksums[file] for file in files},
        )
    return Observations(now, tuple(consumers.values()))


def but(observations: Observations, *changed: Consumer, without: str = "") -> Observations:
    """Return what was seen with some consumers otherwise, or one not seen at all."""
    others = {consumer.name: consumer for consumer in changed}
    return replace(
        observations,
        consumers=tuple(
            others.get(consumer.name, consumer) for consumer in observations.consumers if consumer.name != without
        ),
    )
