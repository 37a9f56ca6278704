"""Brings about the configuration of the NATS cluster: rendered, kept, taken up by one node after the other, proved; or all put back.

A run that ended anywhere is taken up by the next: whoever may connect is noted before any node lets them, `current.json` is
switched before any node is asked, and every node is asked each time, who says `unchanged` where it has it already.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from functions.nats_nodes import Nodes, NotConfiguredError
from functions.nats_state import Cluster, Current, State
from nats_platform.configuration import Place, render
from nats_platform.permissions import User, merged, wanted_users
from nats_platform.request import ClusterRequest
from tls import ConflictError

_MOST_ATTEMPTS = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BroughtAbout:
    """What came of it."""

    version: int
    changed: bool
    users: int
    configured: Sequence[str]
    waiting: Sequence[str] = ()
    """Those of them whose server has to start anew for it."""


@dataclass(frozen=True)
class Configuration:
    """The configuration of one cluster."""

    bucket: str
    state: State
    nodes: Nodes | None
    """None where no node answers in the environment."""
    s3: Any
    places: Mapping[str, Place] = field(default_factory=dict)
    """Where nodes stand that are not at production's places."""

    def deploy(
        self, request: ClusterRequest, assets: Mapping[str, Mapping[str, str]], *, proceed: bool
    ) -> BroughtAbout:
        """Make it what a deployment asks for; who may connect now may go on to, since their tasks still run.

        Args:
            request: What is asked for.
            assets: Where `server` and `agent` come from.
            proceed: Leave out a node that does not follow, instead of putting all back: on the way back of a stack.

        Raises:
            NotConfiguredError: A node did not follow; all run on what they ran on before.
        """
        kept = {name: self.state.put_asset(self.bucket, asset, self.s3) for name, asset in assets.items()}
        wanted = wanted_users(request)
        for _ in range(_MOST_ATTEMPTS - 1):
            try:
                return self._attempt(request, wanted, kept, proceed=proceed)
            except ConflictError as error:
                _log.info("another run is at work: %s; planning anew", error)
        return self._attempt(request, wanted, kept, proceed=proceed)

    def _attempt(
        self, request: ClusterRequest, wanted: Sequence[User], assets: Mapping[str, Any], *, proceed: bool
    ) -> BroughtAbout:
        before = self.state.cluster()
        return self._bring_about(before, request, merged(before.users, wanted), assets, proceed=proceed)

    def retire(self, before: Cluster, users: Sequence[User]) -> BroughtAbout:
        """Let only these connect: who uses something else, or is somebody else, is cut off by the servers.

        Args:
            before: What was asked for, and who could connect, when it was decided who still may.
            users: Who still may.

        Raises:
            ConflictError: A deployment asked for something else in the meantime; what was decided does not hold any more.
            NotConfiguredError: A node did not follow; all run on what they ran on before.
        """
        if before.request is None:
            raise ValueError("no deployment has asked for a cluster yet")
        return self._bring_about(before, before.request, users, {}, proceed=False)

    def place_anew(self) -> BroughtAbout:
        """Make it what was asked for last, for where the nodes stand now; machines take it up when they boot."""
        before = self.state.cluster()
        if before.request is None:
            raise ValueError("no deployment has asked for a cluster yet")
        alone = dataclasses.replace(self, nodes=None)
        return alone._bring_about(before, before.request, before.users, {}, proceed=False)  # noqa: SLF001 - itself

    def _bring_about(
        self,
        before: Cluster,
        request: ClusterRequest,
        users: Sequence[User],
        assets: Mapping[str, Any],
        *,
        proceed: bool,
    ) -> BroughtAbout:
        current = self.state.current()
        self.state.put_cluster(before, request, users)
        configuration = {
            node.name: self.state.put_configuration(
                node.name, render(request, users, node.name, self.places.get(node.name)), current
            )
            for node in request.nodes
        }
        now = self.state.switch(current, {**current.plain, **assets, "configuration": configuration})
        configured = self._configure(before, current, now, proceed=proceed)
        waiting = [node for node, runs_on_it in configured.items() if not runs_on_it]
        return BroughtAbout(now.version, now is not current, len(users), list(configured), waiting)

    def _configure(self, cluster: Cluster, before: Current, now: Current, *, proceed: bool) -> Mapping[str, bool]:
        if self.nodes is None:
            return {}
        try:
            return self.nodes.configure(now.configuration, proceed=proceed)
        except NotConfiguredError as error:
            if now is before or before.etag is None or cluster.request is None:
                raise  # there is nothing to go back to
            self._put_back(cluster, cluster.request, before, now, error.done)
            raise

    def _put_back(
        self, cluster: Cluster, request: ClusterRequest, before: Current, now: Current, done: Sequence[str]
    ) -> None:
        """Put all back to what they ran on; the node that did not follow has done so itself."""
        _log.error("all go back to what they ran on in version %d", before.version)
        restored = self.state.switch(now, before.plain)
        self.state.put_cluster(self.state.cluster(), request, cluster.users)
        if self.nodes:
            self.nodes.configure({node: restored.configuration[node] for node in done}, proceed=True)
