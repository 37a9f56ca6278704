"""The function of the NATS cluster: CloudFormation calls it for two resources, a schedule and an operator for two tasks.

`Custom::NatsConfiguration` has the bucket, and then each node that runs, hold what the catalog asks for; it needs no machine, and the
first one finds its configuration by it. `Custom::NatsRoll` waits until the machines are there and whole, or rolls them.

The tasks of the schedule are `backup`, and `retire`: take away what no task uses any more. An operator has `status`, `streams` and
`restore` besides; and `place` is for nodes that have moved, which only those on one machine ever do.

Environment: BUCKET, CLUSTER, ENVIRONMENT, STACK_PREFIX, DOCUMENT_PREFIX, ROLL_DOCUMENT, WAIT_FOR_NODES (`false` where no node answers),
and in the local AWS NATS_PLACES (JSON: `nats_platform.configuration.Place` by node, of nodes that stand side by side on one machine).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import boto3

from functions.custom_resource import Answer, RequestType, answer, is_request, rolls_back
from functions.nats_configuration import Configuration
from functions.nats_nodes import SILENT, NodeError, Nodes
from functions.nats_roll import RollWatch, Waiting
from functions.nats_state import State
from functions.nats_usage import Usage
from nats_platform.commander import Commander
from nats_platform.configuration import Place
from nats_platform.permissions import User, merged, wanted_users
from nats_platform.request import ClusterRequest
from tls import ConflictError, S3Store

CONFIGURATION, ROLL = "Custom::NatsConfiguration", "Custom::NatsRoll"
TASK_SECONDS = 840.0
NOTHING_ASKED = "no deployment has asked for a cluster yet"
_log = logging.getLogger(__name__)
_log.setLevel(logging.INFO)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any] | None:
    """Answer CloudFormation, go on waiting for what another run began, or do a task."""
    if is_request(event):
        provider = provide_roll if event["ResourceType"] == ROLL else provide_configuration
        answer(event, lambda kind, properties: provider(event, context, kind, properties))
        return None
    tasks = {
        "backup": back_up,
        "place": place,
        "restore": restore,
        "retire": retire,
        "status": status,
        "streams": change_streams,
    }
    return tasks[event["task"]](event)


def provide_configuration(
    event: Mapping[str, Any], context: object, request_type: RequestType, properties: Mapping[str, Any]
) -> Answer:
    """Make bucket and nodes hold what a deployment asks for.

    Properties: `Request` (JSON as `ClusterRequest.from_plain` takes it), `Server` and `Agent` (JSON: bucket, key, sha256), `Digest` of
    what comes of the request, so that another way of rendering it is a change too, `AtStart` (the digest of what servers take up only
    when they start, whose change makes the roll follow), and `DestroyData` (`true` empties the bucket when the resource goes, since
    CloudFormation removes no bucket that holds something).

    Raises:
        NodeError: A node does not follow, or only by a roll that this deployment has not.
    """
    del context
    store = S3Store(os.environ["BUCKET"])
    if request_type == "Delete":
        # Also where it was made just now, by what is being taken back: a bucket that holds something could not go with it.
        if properties.get("DestroyData") == "true" or rolls_back(event):
            store.empty()
        return Answer(store.address, {})
    request = ClusterRequest.from_plain(json.loads(properties["Request"]))
    back = request_type == "Update" and rolls_back(event)
    assets = {name: json.loads(properties[name.capitalize()]) for name in ("server", "agent")}
    brought = _configuration().deploy(request, assets, proceed=back)
    nodes = _nodes()
    if brought.waiting and not back:
        _expect_roll(event, brought.waiting)  # which makes the streams, too: there may be no room for them before
    elif brought.configured and nodes and not back:
        apply_streams(nodes, request)
    return Answer(
        store.address,
        {
            "Version": str(brought.version),
            "Users": str(brought.users),
            "Configured": ", ".join(brought.configured) or ("none: no node runs" if nodes else f"none: {SILENT}"),
        },
    )


def _expect_roll(event: Mapping[str, Any], waiting: Sequence[str]) -> None:
    """See to it that servers which have to start anew are going to.

    Raises:
        NodeError: They are not: what a former deployment left behind differs, and this one rolls nothing.
    """
    before, now = event.get("OldResourceProperties", {}), event["ResourceProperties"]
    if event["RequestType"] != "Update" or before.get("AtStart") == now["AtStart"]:
        raise NodeError(
            f"{', '.join(waiting)}: only a start of the server takes this up; run fleet nats roll, then deploy"
        )


def provide_roll(
    event: Mapping[str, Any], context: Any, request_type: RequestType, properties: Mapping[str, Any]
) -> Answer | None:
    """Wait until the nodes run on what the stack made, and have what JetStream keeps made there.

    Properties: `Templates`, `Server` and `AtStart`, whose change asks for a roll; the roll itself looks at what the machines are.
    """
    del properties
    physical_id = os.environ["ROLL_DOCUMENT"]
    nodes = _nodes()
    if request_type == "Delete" or nodes is None:
        return Answer(physical_id, {"Nodes": f"none: {SILENT}" if nodes is None else "gone"})
    request = State(S3Store(os.environ["BUCKET"])).cluster().request
    if request is None:
        raise NodeError("there is no configuration to run on")
    watch = RollWatch(
        nodes=nodes,
        expected=frozenset(node.name for node in request.nodes),
        document=os.environ["ROLL_DOCUMENT"],
        ssm=boto3.client("ssm"),
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    begun = event.get("Waiting")
    try:
        waiting = (
            Waiting.from_plain(begun)
            if begun
            else watch.begin("first" if request_type == "Create" else "roll", event["RequestId"])
        )
        if not watch.go_on(waiting):
            _hand_over(event, waiting)
            return None
    except NodeError:
        if not rolls_back(event):
            raise
        _log.exception("the stack is on its way back, which this must not hold up")
        return Answer(physical_id, {"Nodes": "NOT as they were: see the log of the function"})
    apply_streams(nodes, request)
    return Answer(physical_id, {"Nodes": ", ".join(sorted(watch.expected))})


def _hand_over(event: Mapping[str, Any], waiting: Waiting) -> None:
    """Have another run of this function go on where this one ends."""
    boto3.client("lambda").invoke(
        FunctionName=os.environ["AWS_LAMBDA_FUNCTION_NAME"],
        InvocationType="Event",
        Payload=json.dumps({**event, "Waiting": waiting.to_plain()}).encode(),
    )
    _log.info("another run goes on waiting: %s", waiting)


def apply_streams(
    nodes: Nodes, request: ClusterRequest, *, allow_data_loss: Sequence[str] = (), dry_run: bool = False
) -> Mapping[str, Any]:
    """Have a node make what JetStream is to keep, and return what it changed.

    Raises:
        NodeError: It did not, such as where data would be lost by it.
    """
    wanted = {
        "dry_run": dry_run,
        "allow_data_loss": list(allow_data_loss),
        "streams": request.streams,
        "consumers": request.consumers,
        "buckets": request.buckets,
    }
    machine = nodes.any_healthy()
    if machine is None:
        raise NodeError("no node is well, so streams and buckets were not made")
    outcome = nodes.run("streams", machine, wanted)
    if not outcome.succeeded:
        raise NodeError(f"streams and buckets were not made: {outcome.detail}")
    return outcome.answer


def change_streams(event: Mapping[str, Any]) -> dict[str, Any]:
    """Make what JetStream is to keep as the last deployment asked, and lose data where that is allowed by name.

    Raises:
        NodeError: It was not made.
    """
    nodes, request = _nodes(), State(S3Store(os.environ["BUCKET"])).cluster().request
    if nodes is None or request is None:
        return {"changed": [], "reason": SILENT if nodes is None else NOTHING_ASKED}
    allowed, dry_run = event.get("allow_data_loss", []), bool(event.get("dry_run"))
    return dict(apply_streams(nodes, request, allow_data_loss=allowed, dry_run=dry_run))


def restore(event: Mapping[str, Any]) -> dict[str, Any]:
    """Have a node restore streams and buckets from a backup.

    Raises:
        NodeError: It did not.
    """
    wanted = {name: event[name] for name in ("backup", "streams", "overwrite")}
    nodes = _nodes()
    if nodes is None:
        return {"restored": [], "reason": SILENT}
    machine = nodes.any_healthy()
    if machine is None:
        raise NodeError("no node is well, so nothing was restored")
    outcome = nodes.run("restore", machine, wanted, at_most_seconds=TASK_SECONDS)
    if not outcome.succeeded:
        raise NodeError(f"{machine} did not restore: {outcome.detail}")
    return dict(outcome.answer)


def status(_: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the machines are to run on, and what each that runs says of itself."""
    nodes = _nodes()
    current = State(S3Store(os.environ["BUCKET"])).current()
    told: dict[str, Any] = {"wanted": dict(current.plain), "nodes": {}}
    if nodes is None:
        return {**told, "reason": SILENT}
    for node, machine in nodes.machines().items():
        outcome = nodes.run("status", machine)
        told["nodes"][node] = {
            "machine": machine,
            "status": dict(outcome.answer) if outcome.succeeded else None,
            "detail": "" if outcome.succeeded else outcome.detail,
        }
    return told


def back_up(_: Mapping[str, Any]) -> dict[str, Any]:
    """Have a node back up all streams and buckets; how old the last whole backup is, the nodes themselves measure.

    Raises:
        NodeError: None did.
    """
    nodes = _nodes()
    if nodes is None:
        return {"backup": None, "reason": SILENT}
    machine = nodes.any_healthy()
    if machine is None:
        raise NodeError("no node is well, so nothing was backed up")
    outcome = nodes.run("backup", machine, at_most_seconds=TASK_SECONDS)
    if not outcome.succeeded:
        raise NodeError(f"{machine} did not back up: {outcome.detail}")
    return dict(outcome.answer)


def retire(_: Mapping[str, Any]) -> dict[str, Any]:
    """Let only those connect, and do only what, the catalog asks for or a running task was told.

    Raises:
        NodeError: A node did not follow.
    """
    configuration = _configuration()
    before = configuration.state.cluster()
    if before.request is None:
        return {"changed": False, "reason": NOTHING_ASKED}
    usage = Usage(
        os.environ["CLUSTER"], os.environ["STACK_PREFIX"], boto3.client("ecs"), boto3.client("cloudformation")
    )
    if under_way := usage.deployments_under_way():
        return {"changed": False, "reason": f"a deployment is under way: {', '.join(under_way)}"}
    users = users_in_use(before.request, usage.contracts())
    try:
        brought = configuration.retire(before, users)
    except ConflictError as error:
        return {"changed": False, "reason": f"a deployment came in between: {error}"}
    gone = sorted({user.identity for user in before.users} - {user.identity for user in users})
    return {"changed": brought.changed, "version": brought.version, "users": len(users), "retired": gone}


def place(_: Mapping[str, Any]) -> dict[str, Any]:
    """Render anew what was asked for last, for where the nodes stand now."""
    brought = _configuration().place_anew()
    return {"changed": brought.changed, "version": brought.version}


def users_in_use(request: ClusterRequest, contracts: list[tuple[str, Mapping[str, Any]]]) -> tuple[User, ...]:
    """Return the users that are asked for, each with what a running task may do besides, and those whose tasks still run.

    Whoever a running task asks may answer it, too.
    """
    users = wanted_users(request)
    for name, contract in contracts:
        users = merged(wanted_users(replace(request, services={**request.services, name: contract})), users)
    return users


def _configuration() -> Configuration:
    bucket = os.environ["BUCKET"]
    told: Mapping[str, Mapping[str, Any]] = json.loads(os.environ.get("NATS_PLACES", "{}"))
    places = {node: Place(**where) for node, where in told.items()}
    return Configuration(bucket, State(S3Store(bucket)), _nodes(), boto3.client("s3"), places)


def _nodes() -> Nodes | None:
    """Return the nodes; None where none answers."""
    if os.environ["WAIT_FOR_NODES"] != "true":
        _log.info("nothing is asked of any node: %s", SILENT)
        return None
    commander = Commander(boto3.client("ec2"), boto3.client("ssm"))
    return Nodes(os.environ["ENVIRONMENT"], os.environ["DOCUMENT_PREFIX"], commander)
