"""What is wrong with a request, all of it at once: first each value by itself, then what no single value shows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

from tls.keys import KeyType
from tls.names import LONGEST_DNS_NAME, dns_name_fault, is_within, label_fault
from tls.profiles import LONGEST_LEAF, Lifetimes

LONGEST_ENVIRONMENT = 12  # it stands in the common name of every authority
MOST_NAMES_A_NODE = 16
LONGEST_LIFE_DAYS = {"leaf_days": LONGEST_LEAF.days, "issuing_days": 3650, "root_days": 7300}

_REQUIRED = ("environment", "organization", "client_domain", "node_domain", "nodes", "services")
_OPTIONAL = ("shared_node_names", "identities", "key_type", "lifetimes")
_LONGEST_SHOWN = 80

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{place_of(self.path)}: {self.message}" if self.path else self.message


def place_of(path: Path) -> str:
    """Return a path as one reads it: `nodes[2].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def faults_of(plain: object) -> list[Fault]:
    """Return everything that is wrong with the plain data of a request."""
    if not isinstance(plain, Mapping):
        return [Fault((), f"is no mapping but {_shown(plain)}")]
    return list(dict.fromkeys([*_single_values(plain), *_between_values(plain)]))


def _single_values(plain: Mapping[Any, Any]) -> Iterator[Fault]:
    yield from _keys(plain, (), _REQUIRED, _OPTIONAL)
    yield from _checked(plain, "environment", label_fault, longest=LONGEST_ENVIRONMENT)
    yield from _checked(plain, "organization", label_fault)
    for key in ("client_domain", "node_domain"):
        yield from _checked(plain, key, dns_name_fault)
    yield from _names(plain.get("services", ()), ("services",), label_fault)
    yield from _names(plain.get("identities", ()), ("identities",), label_fault)
    yield from _names(plain.get("shared_node_names", ()), ("shared_node_names",), dns_name_fault)
    if (key_type := plain.get("key_type", KeyType.P256)) not in list(KeyType):
        yield Fault(("key_type",), f"{_shown(key_type)} is none of {', '.join(KeyType)}{_meant(key_type, KeyType)}")
    yield from _lifetimes(plain.get("lifetimes", {}))
    nodes = plain.get("nodes", ())
    if not isinstance(nodes, list | tuple):
        yield Fault(("nodes",), f"is no list but {_shown(nodes)}")
        return
    for number, node in enumerate(nodes):
        yield from _node(node, ("nodes", number))


def _node(node: object, path: Path) -> Iterator[Fault]:
    if not isinstance(node, Mapping):
        yield Fault(path, f"is no mapping but {_shown(node)}")
        return
    yield from _keys(node, path, ("name",), ("server_names", "route_names"))
    yield from _checked(node, "name", label_fault, path=path)
    for key in ("server_names", "route_names"):
        if key in node:
            yield from _names(node[key], (*path, key), _no_fault)
            if isinstance(node[key], list | tuple) and not 1 <= len(node[key]) <= MOST_NAMES_A_NODE:
                yield Fault((*path, key), f"has {len(node[key])} names; a certificate has 1 to {MOST_NAMES_A_NODE}")


def _lifetimes(lifetimes: object) -> Iterator[Fault]:
    path: Path = ("lifetimes",)
    if not isinstance(lifetimes, Mapping):
        yield Fault(path, f"is no mapping but {_shown(lifetimes)}")
        return
    yield from _keys(lifetimes, path, (), tuple(LONGEST_LIFE_DAYS))
    for key, longest in LONGEST_LIFE_DAYS.items():
        days = lifetimes.get(key, 1)
        if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= longest:
            yield Fault((*path, key), f"{_shown(days)} is no whole number of days from 1 to {longest}")
            return
    lives = asdict(Lifetimes()) | {key: lifetimes[key] for key in LONGEST_LIFE_DAYS if key in lifetimes}
    for key, issuer in (("leaf_days", "issuing_days"), ("issuing_days", "root_days")):
        if lives[key] > lives[issuer]:
            yield Fault(
                (*path, key), f"{lives[key]} is longer than {issuer}, {lives[issuer]}: nothing outlives its issuer"
            )


def _between_values(plain: Mapping[Any, Any]) -> Iterator[Fault]:
    """Yield what is wrong between values that may each be right by itself."""
    client_domain, node_domain = _text(plain.get("client_domain")), _text(plain.get("node_domain"))
    if (
        client_domain
        and node_domain
        and (is_within(client_domain, node_domain) or is_within(node_domain, client_domain))
    ):
        yield Fault(
            ("node_domain",),
            f"{_shown(node_domain)} and the client domain {_shown(client_domain)} hold one another: a node's name could be a client's",
        )
    for key in ("nodes", "services"):
        if key in plain and plain[key] in ([], ()):
            yield Fault((key,), f"is empty: that would take the certificates of all {key} away")
    clients = [((key, place), name) for key in ("services", "identities") for place, name in _texts(plain.get(key))]
    yield from _repeated(clients, "client")
    nodes = _mappings(plain.get("nodes"))
    yield from _repeated(
        ((("nodes", number, "name"), _text(node.get("name"))) for number, node in enumerate(nodes)), "node"
    )
    identities = {f"{name}.{client_domain}": name for _, name in clients if client_domain}
    for path, name in clients:
        if client_domain and not label_fault(name) and (fault := dns_name_fault(f"{name}.{client_domain}")):
            yield Fault(path, f"the identity {_shown(f'{name}.{client_domain}')} {fault}")
    yield from _shared_names(plain, client_domain)
    for key in ("server_names", "route_names"):
        names = _names_of(nodes, key, node_domain)
        yield from _node_names(names, node_domain, identities)
        yield from _repeated([*_shared(plain), *names], "node")


def _shared(plain: Mapping[Any, Any]) -> list[tuple[Path, str]]:
    return [(("shared_node_names", place), name) for place, name in _texts(plain.get("shared_node_names"))]


def _shared_names(plain: Mapping[Any, Any], client_domain: str) -> Iterator[Fault]:
    for path, name in _shared(plain):
        if client_domain and is_within(name, client_domain):
            yield Fault(path, f"{_shown(name)} is within the client domain: it could be a client's identity")


def _names_of(nodes: list[Mapping[Any, Any]], key: str, domain: str) -> list[tuple[Path, str]]:
    """Return the names of all nodes, those that follow from a node's name included."""
    labels = [_text(node.get("name")) for node in nodes]
    own = [[f"{label}.{domain}"] if domain and not label_fault(label) else [] for label in labels]
    return [
        (("nodes", number, key, place), name)
        for number, node in enumerate(nodes)
        for place, name in _texts(node.get(key, own[number]))
    ]


def _node_names(names: list[tuple[Path, str]], domain: str, identities: Collection[str]) -> Iterator[Fault]:
    for path, name in names:
        if name in identities:
            yield Fault(path, f"{_shown(name)} is a client's identity: who holds this key would be that client")
        if domain and not is_within(name, domain):
            yield Fault(path, f"{_shown(name)} is not within the node domain {_shown(domain)}")
        elif fault := dns_name_fault(name):
            yield Fault(path, f"the name {_shown(name)} {fault}")


def _repeated(entries: Iterable[tuple[Path, str]], kind: str) -> Iterator[Fault]:
    first: dict[str, Path] = {}
    for path, name in entries:
        if name and (earlier := first.setdefault(name, path)) != path:
            yield Fault(path, f"{_shown(name)} is already the name of a {kind}, at {place_of(earlier)}")


def _keys(
    plain: Mapping[Any, Any], path: Path, required: tuple[str, ...], optional: tuple[str, ...]
) -> Iterator[Fault]:
    known = (*required, *optional)
    for key in plain:
        if key not in known:
            yield Fault((*path, str(key)), f"is no key of a request; there are {', '.join(known)}{_meant(key, known)}")
    for key in required:
        if key not in plain:
            yield Fault((*path, key), "is missing")


def _checked(
    plain: Mapping[Any, Any],
    key: str,
    fault_of: Callable[[str], str | None],
    *,
    path: Path = (),
    longest: int = LONGEST_DNS_NAME,
) -> Iterator[Fault]:
    if key not in plain:
        return
    value = plain[key]
    if not isinstance(value, str):
        yield Fault((*path, key), f"{_shown(value)} is no text")
    elif fault := fault_of(value):
        yield Fault((*path, key), f"{_shown(value)} {fault}")
    elif len(value) > longest:
        yield Fault((*path, key), f"{_shown(value)} has {len(value)} characters; at most {longest} fit")


def _names(names: object, path: Path, fault_of: Callable[[str], str | None]) -> Iterator[Fault]:
    if not isinstance(names, list | tuple):
        yield Fault(path, f"is no list but {_shown(names)}")
        return
    for number, name in enumerate(names):
        if not isinstance(name, str):
            yield Fault((*path, number), f"{_shown(name)} is no text")
        elif fault := fault_of(name):
            yield Fault((*path, number), f"{_shown(name)} {fault}")


def _no_fault(_: str) -> None:
    """Find nothing: the names of nodes are looked at together with those that follow from a node's own name."""


def _mappings(value: object) -> list[Mapping[Any, Any]]:
    """Return a list's entries, with an empty mapping for what is none, so that the numbers stay right."""
    return [entry if isinstance(entry, Mapping) else {} for entry in value] if isinstance(value, list | tuple) else []


def _texts(value: object) -> list[tuple[int, str]]:
    entries = enumerate(value) if isinstance(value, list | tuple) else ()
    return [(number, entry) for number, entry in entries if isinstance(entry, str)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _meant(value: object, known: Iterable[str]) -> str:
    close = get_close_matches(str(value), list(known), n=1)
    return f"; did you mean {str(close[0])!r}?" if close else ""


def _shown(value: object) -> str:
    """Return a value as it may stand in a message: in ASCII and on one line, and not without end."""
    text = ascii(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
