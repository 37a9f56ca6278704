"""The function that issues and renews the certificates of an environment.

CloudFormation calls it with what the catalog asks for, and it does not answer before everything is in the bucket; a schedule calls
it daily with nothing, and it renews what is due by what it was last told. The bucket holds that, so both do the same.

Both deliver to the nodes that run, and look at what these then serve. A node that did not take a delivery serves on what it has, and
fails the deployment, once everything is in the bucket, so that the next one goes on from there; it does not hold up the way back
of a stack (docs/adr/0009-nats-cluster.md). The schedule tries again, and tells of it by a metric.

An operator may have it `observe` (`{"task": "observe"}`): what `fleet certs` decides on; and `deliver` what was issued by hand.

Environment: BUCKET, PASSPHRASE_SECRET, CLUSTER, STACK_PREFIX, ENVIRONMENT, DELIVERY_DOCUMENT, DOCUMENT_PREFIX, WAIT_FOR_NODES (`false`
where no node answers).
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import boto3

from functions.custom_resource import Answer, RequestType, answer, is_request, rolls_back
from functions.delivery import SsmDelivery
from functions.metrics import print_metrics
from functions.nats_nodes import SILENT, NodeError, Nodes
from functions.nats_usage import Usage
from functions.observation import SsmObserver
from nats_platform.commander import Commander
from tls import (
    CertificateRequest,
    Delivery,
    Issuer,
    NoNodes,
    Observations,
    Passphrase,
    Release,
    Report,
    S3Store,
    Sources,
    Status,
    bring_about,
    observations_from_plain,
    pointers,
    require_record,
    take_status,
)
from tls.store import write

REQUEST_KEY = "request.json"
_log = logging.getLogger(__name__)
_log.setLevel(logging.INFO)


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any] | None:
    """Answer CloudFormation, look at what is served, or renew on schedule."""
    del context
    if is_request(event):
        answer(event, lambda kind, properties: provide(event, kind, properties))
        return None
    tasks = {"observe": observe, "deliver": deliver}
    return tasks[event["task"]]() if "task" in event else renew()


def provide(event: Mapping[str, Any], request_type: RequestType, properties: Mapping[str, Any]) -> Answer:
    """Make the bucket hold what a deployment asks for.

    Properties: `Request` (JSON as `tls.CertificateRequest.from_plain` takes it) and `DestroyData` (`true` empties the bucket when
    the resource goes, since CloudFormation removes no bucket that holds something).

    Raises:
        NodeError: A node did not take the certificates, which are in the bucket.
    """
    store = _store()
    if request_type == "Delete":
        # Also where it was made just now, by what is being taken back: a bucket that holds something could not go with it.
        if properties.get("DestroyData") == "true" or rolls_back(event):
            store.empty()
        return Answer(store.address, {})
    request = CertificateRequest.from_plain(json.loads(properties["Request"]), where="the property Request")
    report = bring_about(_issuer("deployment"), request)
    _remember(store, request)
    _tell(report)
    _measure(take_status(store, request, None, Sources().now()), report)
    refused = [f"{outcome.node}: {outcome.detail}" for outcome in report.delivered if not outcome.succeeded]
    if refused and not rolls_back(event):
        raise NodeError(f"the certificates are in {store.address}, and a node did not take them: {'; '.join(refused)}")
    return Answer(
        store.address,
        {
            "Authority": report.authority or "",
            "Certificates": str(len(request.leaves)),
            "Delivery": _delivery_in_words(report),
        },
    )


def renew() -> dict[str, Any]:
    """Renew what is due, retire what nothing uses any more, and report the days that are left."""
    store = _store()
    stored = store.read(REQUEST_KEY)
    if stored is None:
        return {"changed": False, "reason": "no deployment has asked for certificates yet"}
    request = CertificateRequest.from_plain(json.loads(stored.data), where=REQUEST_KEY)
    report = bring_about(_issuer("schedule"), request, unused=lambda: _unused(store, request, stored.etag))
    seen, silent = _look(store)
    status = take_status(store, request, seen, Sources().now())
    _measure(status, report)
    _tell(report)
    findings = list(dict.fromkeys([*report.findings, *status.findings, *silent]))
    for finding in findings:
        _log.warning("%s", finding)
    return {**report.to_plain(), "findings": findings}


def observe() -> dict[str, Any]:
    """Return what is served and trusted, as `tls.observations_from_plain` reads it, and who could not be looked at."""
    observer = _observer(_store())
    if observer is None:
        return {"observations": None, "silent": [SILENT]}
    plain, silent = observer.look()
    return {"observations": plain, "silent": silent}


def deliver() -> dict[str, Any]:
    """Deliver what the bucket holds to the nodes that run; nothing is issued, and nothing is taken away."""
    store = _store()
    if not _nodes_answer():
        return {"delivered": [], "reason": SILENT}
    record = require_record(store).record
    delivered = _delivery().deliver(Release(record, pointers(store)))
    return {"delivered": [dataclasses.asdict(outcome) for outcome in delivered]}


def _look(store: S3Store) -> tuple[Observations | None, list[str]]:
    """Return what is served; None where no node is there to look at."""
    observer = _observer(store)
    if observer is None or not observer.nodes.machines():
        return None, []
    plain, silent = observer.look()
    return observations_from_plain(plain, where="what the nodes said"), silent


def _unused(store: S3Store, request: CertificateRequest, asked: str) -> Collection[str]:
    """Return the clients whom nobody asks for any more and of whom no task is left.

    Nobody while a stack changes, since what it goes back to may run on no task just then, nor where something else was asked for
    since this run began.
    """
    wanted = {leaf.prefix for leaf in request.leaves}
    gone = [prefix for prefix in pointers(store) if prefix.startswith("client/") and prefix not in wanted]
    if not gone:
        return ()
    cluster = os.environ["CLUSTER"]
    usage = Usage(cluster, os.environ["STACK_PREFIX"], boto3.client("ecs"), boto3.client("cloudformation"))
    running = usage.families()
    if under_way := usage.deployments_under_way():
        _log.info("nothing is retired: a deployment is under way: %s", ", ".join(under_way))
        return ()
    latest = store.read(REQUEST_KEY)  # after the stacks: a deployment that has ended since is seen here
    if latest is None or latest.etag != asked:
        _log.info("nothing is retired: a deployment came in between")
        return ()
    return [prefix for prefix in gone if f"{cluster}-{prefix.split('/')[1]}" not in running]


def _remember(store: S3Store, request: CertificateRequest) -> None:
    """Keep what was asked for, for the schedule; what is there already is not written again."""
    there, data = store.read(REQUEST_KEY), json.dumps(request.to_plain(), sort_keys=True).encode()
    if there is None or there.data != data:
        write(store, REQUEST_KEY, data, replaces=None if there is None else there.etag)
        _log.info("%s remembers %d certificates", store.address, len(request.leaves))


def _measure(status: Status, report: Report) -> None:
    days = {f"{metric.kind}_days_left": metric.days_left for metric in status.metrics if metric.source == "store"}
    failed = sum(not outcome.succeeded for outcome in report.delivered)
    print_metrics(
        environment=os.environ["ENVIRONMENT"],
        service="certificates",
        metrics={**days, "failed_deliveries": failed},
    )
    served = [metric.days_left for metric in status.metrics if metric.source == "wire"]
    if served:
        # A service of its own: each may have but six.
        print_metrics(
            environment=os.environ["ENVIRONMENT"],
            service="certificates-wire",
            metrics={"days_left": min(served)},
        )


def _tell(report: Report) -> None:
    _log.info("certificates: %s", json.dumps(report.to_plain(), sort_keys=True))


def _delivery_in_words(report: Report) -> str:
    if not _nodes_answer():
        return f"none: {SILENT}"
    return (
        ", ".join(f"{outcome.node} {'done' if outcome.succeeded else 'FAILED'}" for outcome in report.delivered)
        or "none: no node runs"
    )


def _issuer(requester: str) -> Issuer:
    store = _store()
    return Issuer(
        store=store,
        passphrase=_passphrase,
        requester=requester,
        delivery=_delivery(),
        observer=_observer(store),
        say=_log.info,
    )


def _delivery() -> Delivery:
    if _nodes_answer():
        return SsmDelivery(os.environ["DELIVERY_DOCUMENT"], os.environ["ENVIRONMENT"], _commander())
    _log.info("nothing is delivered: %s", SILENT)
    return NoNodes()


def _observer(store: S3Store) -> SsmObserver | None:
    if not _nodes_answer():
        return None
    nodes = Nodes(os.environ["ENVIRONMENT"], os.environ["DOCUMENT_PREFIX"], _commander())
    return SsmObserver(nodes, store, os.environ["CLUSTER"], boto3.client("ecs"))


def _commander() -> Commander:
    return Commander(boto3.client("ec2"), boto3.client("ssm"))


def _nodes_answer() -> bool:
    return os.environ["WAIT_FOR_NODES"] == "true"


def _store() -> S3Store:
    return S3Store(os.environ["BUCKET"])


@cache
def _passphrase() -> Passphrase:
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["PASSPHRASE_SECRET"])
    return Passphrase(secret["SecretString"])
