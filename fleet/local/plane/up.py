"""Bring up on this machine what is deployed, and take it down again where somebody changes their mind meanwhile."""

from __future__ import annotations

import contextlib

from catalog import load_environment
from fleet.account import Account, local_account
from fleet.errors import WantingError
from fleet.local.plane.client import LocalPlane, RunningPlane
from fleet.local.plane.ready import wait_for_nodes, wait_until_ready
from fleet.local.server import ENVIRONMENT, LocalAws
from fleet.nats import task
from fleet.progress import Progress


def bring_up(
    progress: Progress,
    *,
    minute_seconds: float | None = None,
    has_cache: bool | None = None,
    local_aws: LocalAws | None = None,
    local_plane: LocalPlane | None = None,
) -> None:
    """Start the local AWS and the plane, and wait until all that is deployed runs.

    Interrupted, it ends what it has started, and leaves no file of a plane that was not there before.

    Raises:
        WantingError: Not all of it runs; what does goes on.
    """
    aws = local_aws or LocalAws()
    plane = local_plane or LocalPlane(aws=aws)
    ran_aws, ran_plane, had_folder = aws.running(), plane.running(), plane.state.exists()
    try:
        with progress.step("start the local AWS") as step:
            account = local_account(aws.start(step))
        running = start_plane(plane, account, progress, minute_seconds=minute_seconds, has_cache=has_cache)
        with progress.step("wait until what is deployed runs") as step:
            wait_until_ready(running, step)
    except KeyboardInterrupt:
        if not ran_plane:
            plane.stop(forget=not had_folder)
        if not ran_aws:
            aws.stop()
        raise
    if not running.ask("status")["tasks"]["services"]:
        progress.note("nothing is deployed in the local AWS yet: make deploy")


def start_plane(
    plane: LocalPlane,
    account: Account,
    progress: Progress,
    *,
    minute_seconds: float | None = None,
    has_cache: bool | None = None,
) -> RunningPlane:
    """Return the plane that runs, started where none does.

    Nodes that are deployed and begin with empty disks know no stream, and a service without its bucket only fails: these are made first,
    as the last deployment asked for them.

    Raises:
        WantingError: It does not come up, or the streams cannot be made.
    """
    begins = plane.running() is None and not plane.state.exists()
    with progress.step("start the local plane") as step:
        running = plane.start(step, minute_seconds=minute_seconds, has_cache=has_cache, holds_tasks=begins)
    if not begins:
        return running
    try:
        with progress.step("wait until the NATS nodes are healthy") as step:
            has_nodes = wait_for_nodes(running, step)
        if has_nodes:
            with progress.step("make the streams and buckets") as step:
                told = task(account, load_environment(ENVIRONMENT), "streams", allow_data_loss=[], dry_run=False)
                if "reason" in told:
                    raise WantingError(f"the streams and buckets were not made: {told['reason']}")
                step.outcome(f"{len(told.get('changed') or ())} made")
    finally:
        # Whatever came of it: nobody else would let the tasks go.
        with contextlib.suppress(WantingError):
            running.ask("release")
    return running
