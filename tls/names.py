"""Which names may stand in a certificate, and so in a path of the store and in a NATS user."""

from __future__ import annotations

import re

LONGEST_LABEL = 63
LONGEST_DNS_NAME = 253

# `fullmatch` only: `$` would let a line feed through at the end.
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


def label_fault(name: str) -> str | None:
    """Tell what is wrong with a name of one label, such as a service's; None if nothing is."""
    if not name:
        return "is empty"
    if len(name) > LONGEST_LABEL:
        return f"has {len(name)} characters; at most {LONGEST_LABEL} fit in a DNS label"
    if not _LABEL.fullmatch(name):
        return "may have only a-z, 0-9 and, inside, -"
    return None


def dns_name_fault(name: str) -> str | None:
    """Tell what is wrong with a host name or domain; None if nothing is."""
    if not name:
        return "is empty"
    if len(name) > LONGEST_DNS_NAME:
        return f"has {len(name)} characters; at most {LONGEST_DNS_NAME} fit in a DNS name"
    labels = name.split(".")
    for label in labels:
        if fault := label_fault(label):
            return f"has the label {label!a}, which {fault}"
    if labels[-1].isdigit():
        return "ends in a number: an address is no name"
    return None


def is_within(name: str, domain: str) -> bool:
    """Tell whether a name is a domain or lies below it, as name constraints count it."""
    return name == domain or name.endswith(f".{domain}")
