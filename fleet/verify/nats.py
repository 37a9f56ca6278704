"""The NATS cluster: its slots, what is in its bucket, its alarms; and where its nodes answer, what they run on and serve."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

from botocore.exceptions import ClientError

from catalog import names
from catalog.cluster import cluster_request
from fleet.errors import FleetError
from fleet.nats import cluster_findings, task
from fleet.verify.check import Check, Checks
from fleet.verify.scope import NO_TASKS, Scope

BACKUP_HOURS = 13  # two in a row have failed
_MARKER = "COMPLETE"
_WHOLE = "whole, and as the bucket says"
_BACKUP = f"a whole backup of the last {BACKUP_HOURS} h"
_PROFILES = ("server", "route")


def check_nats(scope: Scope) -> list[Check]:
    """Look at everything of the cluster that its deployment made, and at its nodes where they answer."""
    checks = scope.checks()
    _check_slots(scope, checks)
    _check_alarms(scope, checks)
    current = _check_bucket(scope, checks)
    if not scope.claims_nodes:
        checks.unproven("nats.nodes", scope.name, _WHOLE, NO_TASKS)
        for node, profile in product(names.NATS_NODES, _PROFILES):
            checks.unproven("nats.tls", node, f"a {profile} certificate", NO_TASKS)
        checks.unproven("nats.backup", scope.name, _BACKUP, NO_TASKS)
    elif current is not None:
        try:
            check_served(scope, checks, task(scope.account, scope.environment, "status"))
        except FleetError as error:
            checks.lacks("nats.nodes", scope.name, "nodes that answer", str(error))
        _check_backup(scope, checks)
    return checks.made


def _check_slots(scope: Scope, checks: Checks) -> None:
    """Look for each slot's machine, disk and address."""
    ec2 = scope.account.ec2
    mine: Any = [{"Name": "tag:environment", "Values": [scope.name]}, {"Name": "tag-key", "Values": ["nats-slot"]}]
    running: Any = [*mine, {"Name": "instance-state-name", "Values": ["running"]}]
    found: dict[str, list[Any]] = {
        "machine": [i for r in ec2.describe_instances(Filters=running)["Reservations"] for i in r["Instances"]],
        # A machine's own disk carries the slot's tag, too; the data disk is one of the stack.
        "disk": [*ec2.describe_volumes(Filters=[*mine, {"Name": "tag:part", "Values": ["nats"]}])["Volumes"]],
        "address": [*ec2.describe_network_interfaces(Filters=mine)["NetworkInterfaces"]],
    }
    for what, resources in found.items():
        by_slot: dict[str, list[Any]] = {node: [] for node in names.NATS_NODES}
        for resource in resources:
            tags: Any = resource.get("Tags") or resource.get("TagSet") or []
            slot = next(tag["Value"] for tag in tags if tag["Key"] == "nats-slot")
            by_slot.setdefault(slot, []).append(resource)
        for slot, there in by_slot.items():
            checks.equal(f"nats.{what}", slot, 1, len(there))
            if what == "disk" and there:
                checks.equal("nats.disk-encrypted", slot, expected=True, found=there[0]["Encrypted"])


def _check_alarms(scope: Scope, checks: Checks) -> None:
    pages = scope.account.cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=f"{names.PLATFORM_ALARM_PREFIX}nats-"
    )
    found = {alarm["AlarmName"]: alarm for page in pages for alarm in page["MetricAlarms"]}
    for kind in names.NATS_ALARM_KINDS:
        name = names.nats_alarm(kind, scope.name)
        alarm = found.get(name)
        if checks.holds("nats.alarm", name, alarm is not None, "there", "there" if alarm else "missing") and alarm:
            checks.equal("nats.alarm-actions", name, [scope.topic_arn], alarm.get("AlarmActions"))


def _check_bucket(scope: Scope, checks: Checks) -> Mapping[str, Any] | None:
    """Look at what the machines are to run on: whether it is what the catalog asks for, for every node."""
    bucket = names.nats_bucket(scope.name, scope.account.account_id, scope.environment.region)
    current, asked = (_read(scope, bucket, key) for key in ("current.json", "state/cluster.json"))
    if not checks.holds("nats.configuration", bucket, current is not None, "there", "there" if current else "missing"):
        return None
    wanted = json.loads(json.dumps(cluster_request(scope.catalog, scope.environment)))
    is_asked = asked is not None and asked["request"] == wanted
    checks.holds(
        "nats.configuration-asked", bucket, is_asked, "what the catalog says", "that" if is_asked else "something else"
    )
    configuration = (current or {}).get("configuration", {})
    checks.equal("nats.configuration-nodes", bucket, list(names.NATS_NODES), sorted(configuration))
    rules = scope.account.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    algorithm = rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
    checks.equal("nats.bucket-encryption", bucket, "aws:kms", algorithm)
    return current


def _read(scope: Scope, bucket: str, key: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(scope.account.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "NoSuchBucket"}:
            return None
        raise
    return found


def check_served(scope: Scope, checks: Checks, told: Mapping[str, Any]) -> None:
    """Take down what the nodes say of themselves."""
    findings = cluster_findings(told)
    checks.holds(
        "nats.nodes", scope.name, not findings, _WHOLE, "; ".join(findings) or "that",
        f"fleet nats status --env {scope.name}",
    )  # fmt: skip
    for node, entry in told["nodes"].items():
        served = (entry["status"] or {}).get("serves", {})
        for profile in _PROFILES:
            one = served.get(profile, {})
            checks.holds(
                "nats.tls", node, "fingerprint" in one, f"a {profile} certificate", one.get("not_after", "none"),
                f"fleet certs status --env {scope.name}",
            )  # fmt: skip


def _check_backup(scope: Scope, checks: Checks) -> None:
    bucket = names.nats_bucket(scope.name, scope.account.account_id, scope.environment.region)
    pages = scope.account.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="backups/")
    whole = [
        entry["LastModified"]
        for page in pages
        for entry in page.get("Contents", [])
        if entry["Key"].endswith(f"/{_MARKER}")
    ]
    newest = max(whole, default=None)
    late = newest is None or datetime.now(UTC) - newest > timedelta(hours=BACKUP_HOURS)
    found = "none" if newest is None else newest.isoformat(timespec="minutes")
    if late and newest is None:
        # The schedule makes the first one within six hours of the first deployment.
        checks.warn("nats.backup", bucket, "a whole backup", found, f"fleet nats backup --env {scope.name}")
    else:
        checks.holds(
            "nats.backup", bucket, not late, _BACKUP, found,
            f"fleet nats backup --env {scope.name}",
        )  # fmt: skip
