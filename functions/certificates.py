"""The function that issues and renews the certificates of an environment.

CloudFormation calls it with what the catalog asks for, and it does not answer before everything is in the bucket; a schedule calls
it daily with nothing, and it renews what is due by what it was last told. The bucket holds that, so both do the same.

Both deliver to the nodes that run. A node that did not take a delivery serves on what it has: that ends no deployment, whose
roll-back would help nobody, but is measured and watched, and the schedule tries again.

Environment: BUCKET, PASSPHRASE_SECRET, CLUSTER, ENVIRONMENT, DELIVERY_DOCUMENT, WAIT_FOR_NODES (`false` where no node answers).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import boto3

from functions.custom_resource import Answer, RequestType, answer, is_request
from functions.delivery import SsmDelivery
from functions.metrics import print_metrics
from tls import (
    CertificateRequest,
    Delivery,
    Issuer,
    NoNodes,
    Passphrase,
    Report,
    S3Store,
    Sources,
    Status,
    bring_about,
    pointers,
    take_status,
)

REQUEST_KEY = "request.json"
_log = logging.getLogger(__name__)
_log.setLevel(logging.INFO)


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any] | None:
    """Answer CloudFormation, or renew on schedule."""
    del context
    if is_request(event):
        answer(event, provide)
        return None
    return renew()


def provide(request_type: RequestType, properties: Mapping[str, Any]) -> Answer:
    """Make the bucket hold what a deployment asks for.

    Properties: `Request` (JSON as `tls.CertificateRequest.from_plain` takes it) and `DestroyData` (`true` empties the bucket when
    the resource goes, since CloudFormation removes no bucket that holds something).
    """
    store = _store()
    if request_type == "Delete":
        if properties.get("DestroyData") == "true":
            store.purge(store.keys(""))
        return Answer(store.address, {})
    request = CertificateRequest.from_plain(json.loads(properties["Request"]), where="the property Request")
    report = bring_about(_issuer("deployment"), request)
    _remember(store, request)
    _tell(report)
    _measure(take_status(store, request, None, Sources().now()), report)
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
    report = bring_about(_issuer("schedule"), request, unused=_unused(store, request))
    status = take_status(store, request, None, Sources().now())
    _measure(status, report)
    _tell(report)
    return {**report.to_plain(), "findings": [*report.findings, *status.findings]}


def _unused(store: S3Store, request: CertificateRequest) -> Collection[str]:
    """Return the clients whom nobody asks for any more and of whom no task runs."""
    wanted = {leaf.prefix for leaf in request.leaves}
    gone = [prefix for prefix in pointers(store) if prefix.startswith("client/") and prefix not in wanted]
    ecs = boto3.client("ecs")
    cluster = os.environ["CLUSTER"]
    return [
        prefix
        for prefix in gone
        if not ecs.list_tasks(cluster=cluster, family=f"{cluster}-{prefix.split('/')[1]}", maxResults=1)["taskArns"]
    ]


def _remember(store: S3Store, request: CertificateRequest) -> None:
    """Keep what was asked for, for the schedule."""
    boto3.client("s3").put_object(
        Bucket=os.environ["BUCKET"], Key=REQUEST_KEY, Body=json.dumps(request.to_plain(), sort_keys=True).encode()
    )
    _log.info("%s remembers %d certificates", store.address, len(request.leaves))


def _measure(status: Status, report: Report) -> None:
    days = {f"{metric.kind}_days_left": metric.days_left for metric in status.metrics if metric.source == "store"}
    failed = sum(not outcome.succeeded for outcome in report.delivered)
    print_metrics(
        environment=os.environ["ENVIRONMENT"],
        service="certificates",
        metrics={**days, "failed_deliveries": failed},
    )


def _tell(report: Report) -> None:
    _log.info("certificates: %s", json.dumps(report.to_plain(), sort_keys=True))


def _delivery_in_words(report: Report) -> str:
    if not _nodes_answer():
        return "none: no node answers in this environment"
    return (
        ", ".join(f"{outcome.node} {'done' if outcome.succeeded else 'FAILED'}" for outcome in report.delivered)
        or "none: no node runs"
    )


def _issuer(requester: str) -> Issuer:
    return Issuer(store=_store(), passphrase=_passphrase, requester=requester, delivery=_delivery(), say=_log.info)


def _delivery() -> Delivery:
    if _nodes_answer():
        return SsmDelivery(os.environ["DELIVERY_DOCUMENT"], os.environ["ENVIRONMENT"])
    _log.info("nothing is delivered: no node answers in this environment (nats.wait_for_nodes is false)")
    return NoNodes()


def _nodes_answer() -> bool:
    return os.environ["WAIT_FOR_NODES"] == "true"


def _store() -> S3Store:
    return S3Store(os.environ["BUCKET"])


@cache
def _passphrase() -> Passphrase:
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["PASSPHRASE_SECRET"])
    return Passphrase(secret["SecretString"])
