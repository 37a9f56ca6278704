"""Events and what JetStream keeps: who tells what, who hears it, and that no two claim the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from catalog.catalog import Catalog
from catalog.draft import Draft
from catalog.faults import KeyPath, did_you_mean, listed, shown
from catalog.proto_messages import declared_messages
from catalog.service import Service
from catalog.subjects import first_covering, patterns_over


def check(draft: Draft[Catalog]) -> None:
    """Note faults of events, streams, consumers and buckets."""
    messages = declared_messages(draft.file.parent / "proto")
    told = _tellers(draft)
    streams, consumers = _owners(draft, "streams"), _owners(draft, "consumers")
    _check_told_once(draft, told)
    for key, what in (("streams", "stream"), ("buckets", "bucket")):
        _check_owned_once(draft, key, what)
    _check_streams_apart(draft)
    for service in draft.model.services.values():
        _check_messages(draft, service, messages)
        _check_heard(draft, service, told)
        _check_streams(draft, service)
        _check_consumers(draft, service, streams, consumers)


def _of_services(draft: Draft[Catalog], key: str) -> Iterator[tuple[str, str]]:
    """Yield service and name of whatever services have under a key of `nats`, entries with faults included."""
    for service, entry in draft.whole.get("services") or ():
        for name, _ in entry.get("nats", key) or ():
            yield str(service), str(name)


def _tellers(draft: Draft[Catalog]) -> dict[str, str]:
    """Return who tells each subject or pattern; of two, the first."""
    told: dict[str, str] = {}
    for service, subject in _of_services(draft, "publishes"):
        told.setdefault(subject, service)
    return told


def _owners(draft: Draft[Catalog], key: str) -> dict[str, str]:
    owners: dict[str, str] = {}
    for service, name in _of_services(draft, key):
        owners.setdefault(name, service)
    return owners


def _check_told_once(draft: Draft[Catalog], told: Mapping[str, str]) -> None:
    for service, subject in _of_services(draft, "publishes"):
        path: KeyPath = ("services", service, "nats", "publishes", subject)
        other = next((p for p in patterns_over(subject) if p in told and (p, told[p]) != (subject, service)), None)
        if other is not None and draft.given(*path):
            overlapping = f"{shown(other)}, which {shown(told[other])} tells"
            draft.report_key(path, f"{shown(subject)} overlaps with {overlapping}; an event has one teller")
    for server, request in _of_services(draft, "serves"):
        pattern = first_covering(told, request)
        if pattern is not None:
            told_path: KeyPath = ("services", told[pattern], "nats", "publishes", pattern)
            draft.report_key(
                told_path, f"{shown(pattern)} would let events ask {shown(request)}, which {shown(server)} serves"
            )


def _check_owned_once(draft: Draft[Catalog], key: str, what: str) -> None:
    first: dict[str, str] = {}
    for service, name in _of_services(draft, key):
        path: KeyPath = ("services", service, "nats", key, name)
        owner = first.setdefault(name, service)
        if owner != service and draft.given(*path):
            line = draft.key_position(("services", owner, "nats", key, name)).line
            draft.report_key(path, f"{shown(owner)} has a {what} {shown(name)} already (line {line})")


def _check_streams_apart(draft: Draft[Catalog]) -> None:
    """Refuse a subject in two streams, or twice in one: JetStream does too."""
    kept: dict[str, KeyPath] = {}
    for service in draft.model.services.values():
        for name, stream in service.nats.streams.items():
            for index, subject in enumerate(stream.subjects):
                path: KeyPath = ("services", service.name, "nats", "streams", name, "subjects", index)
                if kept.setdefault(subject, path) != path:
                    _report_kept_twice(draft, path, subject, kept[subject])
    for subject, path in kept.items():
        wider = next((kept[pattern] for pattern in patterns_over(subject)[1:] if pattern in kept), None)
        if wider is not None:
            _report_kept_twice(draft, path, subject, wider)


def _report_kept_twice(draft: Draft[Catalog], path: KeyPath, subject: str, other: KeyPath) -> None:
    line = draft.position(other).line
    draft.report(path, f"{shown(subject)} is kept by {other[4]} already (line {line}); a message is kept once")


def _check_messages(draft: Draft[Catalog], service: Service, messages: Mapping[str, frozenset[str]]) -> None:
    for name, event in service.nats.publishes.items():
        if messages and event.message not in messages:
            told = f"proto/ declares no message {shown(event.message)}{did_you_mean(event.message, messages)}"
            draft.report(("services", service.name, "nats", "publishes", name, "message"), told)


def _check_heard(draft: Draft[Catalog], service: Service, told: Mapping[str, str]) -> None:
    path = ("services", service.name, "nats", "subscribes")
    for index, subject in enumerate(service.nats.subscribes):
        pattern = first_covering(told, subject)
        teller = draft.model.services.get(told[pattern]) if pattern else None
        if subject in service.nats.subscribes[:index]:
            draft.report((*path, index), f"{shown(subject)} is named twice")
        elif pattern is None:
            draft.report((*path, index), f"nobody tells {shown(subject)}; told are: {listed(sorted(told))}")
        elif teller is service:
            draft.report((*path, index), f"{shown(subject)} is the service's own; it hears others'")
        elif service.enabled and teller is not None and not teller.enabled:
            message = (
                f"{service.name} hears {shown(subject)}, which only {shown(teller.name)} tells, and that is disabled"
            )
            draft.report((*path, index), message, "warning")


def _check_streams(draft: Draft[Catalog], service: Service) -> None:
    own = list(service.nats.publishes)
    for name, stream in service.nats.streams.items():
        for index, subject in enumerate(stream.subjects):
            if first_covering(own, subject) is None:
                path = ("services", service.name, "nats", "streams", name, "subjects", index)
                draft.report(path, f"the service does not tell {shown(subject)}; its events: {listed(own) or 'none'}")


def _check_consumers(
    draft: Draft[Catalog], service: Service, streams: Mapping[str, str], names: Mapping[str, str]
) -> None:
    for name, consumer in service.nats.consumers.items():
        path: KeyPath = ("services", service.name, "nats", "consumers", name)
        if names[name] != service.name:
            draft.report_key(path, f"{shown(names[name])} has a consumer {shown(name)} already")
        owner = streams.get(consumer.stream)
        if owner is None:
            told = f"there is no stream {shown(consumer.stream)}; allowed: {listed(streams) or 'none'}"
            draft.report((*path, "stream"), f"{told}{did_you_mean(consumer.stream, streams)}")
            continue
        keeper = draft.model.services.get(owner)
        stream = keeper.nats.streams.get(consumer.stream) if keeper else None
        if keeper is None or stream is None:
            continue  # its own fault is told already
        if service.enabled and not keeper.enabled:
            told = f"{service.name} reads {consumer.stream} of {shown(owner)}, which is disabled"
            draft.report((*path, "stream"), told, "warning")
        for index, subject in enumerate(consumer.filter_subjects):
            if first_covering(stream.subjects, subject) is None:
                told = f"{consumer.stream} does not keep {shown(subject)}; it keeps: {listed(stream.subjects)}"
                draft.report((*path, "filter_subjects", index), told)
