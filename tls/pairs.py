"""Pairs in the store: read one by its pointer, and publish one so that no reader ever sees half of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tls.authority import Pair
from tls.certificates import parse_chain, summarize
from tls.errors import DamageError, StoreError
from tls.keys import from_pem
from tls.pointer import CHAIN, KEY, FileReference, Pointer, version_name
from tls.profiles import Profile
from tls.request import Leaf
from tls.secret import Secret
from tls.store import CURRENT, Store, Stored, Write, sha256

_CHAIN_LENGTH = 2


@dataclass(frozen=True, slots=True)
class Held:
    """What the store has of one leaf."""

    etag: str | None = None
    """The state of the pointer; None where there is none."""
    pointer: Pointer | None = None
    pair: Pair | None = None
    damage: str | None = None
    """Why pointer or pair cannot be used, where they are there and cannot."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A pair that is to become the current one of a leaf."""

    leaf: Leaf
    pair: Pair
    authority: str
    replaces: str | None
    """The etag of the pointer that it takes the place of."""


def pointers(store: Store) -> dict[str, Pointer]:
    """Return every pointer by its prefix, damaged ones left out."""
    return read_pointers(store, leaf_prefixes(store.keys("")))


def read_pointers(store: Store, prefixes: Sequence[str]) -> dict[str, Pointer]:
    """Return the pointers at some prefixes, those left out that are not there or damaged; `hold` tells of these."""
    held = {
        prefix: _hold_pointer(prefix, stored)
        for prefix, stored in zip(prefixes, _read_pointers(store, prefixes), strict=True)
    }
    return {prefix: entry.pointer for prefix, entry in held.items() if entry.pointer is not None}


def leaf_prefixes(keys: Iterable[str]) -> list[str]:
    """Return the prefixes of all leaves among the keys of a store, in the order of the profiles."""
    found = {"/".join(key.split("/")[:2]) + "/" for key in keys}
    return [prefix for profile in Profile for prefix in sorted(found) if prefix.startswith(f"{profile}/")]


def hold(store: Store, prefixes: Sequence[str]) -> dict[str, Held]:
    """Return what the store has of leaves: pointer, chain and key, checked against the checksums."""
    held = {
        prefix: _hold_pointer(prefix, stored)
        for prefix, stored in zip(prefixes, _read_pointers(store, prefixes), strict=True)
    }
    wanted = [
        (prefix, name, entry.pointer)
        for prefix, entry in held.items()
        if entry.pointer is not None
        for name in (CHAIN, KEY)
    ]
    keys = [(f"{prefix}{pointer.version}/{name}", pointer.files[name].version_id) for prefix, name, pointer in wanted]
    files: dict[str, dict[str, Stored | None]] = {}
    for (prefix, name, _), stored in zip(wanted, store.read_all(keys), strict=True):
        files.setdefault(prefix, {})[name] = stored
    return {prefix: _hold_pair(prefix, entry, files.get(prefix, {})) for prefix, entry in held.items()}


def publish(store: Store, publications: Sequence[Publication], now: datetime) -> list[Publication]:
    """Put pairs into the store and make them current.

    All pairs are there, whole, before the first pointer is switched; and a pointer is switched only where it still is as it was.

    Returns:
        The publications that lost: another issuer switched the pointer first, and its pair stands.
    """
    versions = [version_name(now, publication.pair.chain_pem) for publication in publications]
    staged = [_writes(publication, version) for publication, version in zip(publications, versions, strict=True)]
    stored = iter(store.write_all([write for writes in staged for write in writes.values()]))
    switches = []
    for publication, version, writes in zip(publications, versions, staged, strict=True):
        files = {name: FileReference.of(_placed(store, write, next(stored))) for name, write in writes.items()}
        pointer = Pointer(version, files, publication.authority, summarize(publication.pair.certificate))
        switches.append(Write(f"{publication.leaf.prefix}{CURRENT}", pointer.to_json(), publication.replaces))
    switched = store.write_all(switches)
    return [publication for publication, result in zip(publications, switched, strict=True) if result is None]


def _writes(publication: Publication, version: str) -> dict[str, Write]:
    folder = f"{publication.leaf.prefix}{version}/"
    return {
        CHAIN: Write(f"{folder}{CHAIN}", publication.pair.chain_pem),
        KEY: Write(f"{folder}{KEY}", publication.pair.key_pem.reveal()),
    }


def _placed(store: Store, write: Write, stored: Stored | None) -> Stored:
    """Return what is there of a file: as written just now, or as somebody else wrote the same pair in the same second."""
    there = stored or store.read(write.key)
    if there is None or there.data != write.data:
        raise StoreError(f"{write.key} is there with something else in it, put there by hand")
    return there


def _read_pointers(store: Store, prefixes: Sequence[str]) -> list[Stored | None]:
    return store.read_all([(f"{prefix}{CURRENT}", None) for prefix in prefixes])


def _hold_pointer(prefix: str, stored: Stored | None) -> Held:
    if stored is None:
        return Held()
    try:
        return Held(stored.etag, Pointer.from_json(stored.data, name=f"{prefix}{CURRENT}"))
    except DamageError as error:
        return Held(stored.etag, damage=str(error))


def _hold_pair(prefix: str, held: Held, files: Mapping[str, Stored | None]) -> Held:
    if held.pointer is None:
        return held
    try:
        return replace(held, pair=_pair(f"{prefix}{held.pointer.version}/", held.pointer, files))
    except DamageError as error:
        return replace(held, damage=str(error))


def _pair(folder: str, pointer: Pointer, files: Mapping[str, Stored | None]) -> Pair:
    chain, key = (_checked(f"{folder}{name}", files[name], pointer.files[name]) for name in (CHAIN, KEY))
    certificates = parse_chain(chain, name=f"{folder}{CHAIN}")
    if len(certificates) != _CHAIN_LENGTH:
        raise DamageError(f"{folder}{CHAIN} has {len(certificates)} certificates, not the leaf and its issuer")
    certificate, issuer = certificates
    return Pair(certificate, issuer, from_pem(Secret(key), name=f"{folder}{KEY}"))


def _checked(key: str, stored: Stored | None, reference: FileReference) -> bytes:
    if stored is None:
        raise DamageError(f"{key} is not there")
    if sha256(stored.data) != reference.sha256:
        raise DamageError(f"{key} is not what its pointer says: the checksums differ")
    return stored.data
