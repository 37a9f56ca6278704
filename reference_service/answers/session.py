"""`session.*`: begin and end a player's time in the game, with all that belongs to it."""

from __future__ import annotations

import uuid

from proto.generated.gaming.common.v1.types_pb2 import ENTITY_KIND_SESSION, EntityReference
from proto.generated.gaming.game.v1.quest_pb2 import QUEST_STATUS_ACTIVE, ListQuestsReply, ListQuestsRequest
from proto.generated.gaming.game.v1.session_pb2 import (
    SESSION_STATUS_ENDED,
    SESSION_STATUS_RUNNING,
    EndReason,
    EndSessionReply,
    EndSessionRequest,
    Session,
    StartSessionReply,
    StartSessionRequest,
)
from proto.generated.gaming.game.v1.shard_pb2 import (
    AssignShardReply,
    AssignShardRequest,
    ReleaseShardReply,
    ReleaseShardRequest,
)
from proto.generated.gaming.game.v1.state_pb2 import GetStateReply, GetStateRequest
from proto.generated.gaming.game.v1.world_pb2 import GetWorldStateReply, GetWorldStateRequest
from proto.generated.gaming.infrastructure.v1.auth_pb2 import CheckPermissionReply, CheckPermissionRequest
from proto.generated.gaming.specialized.v1.story_pb2 import GetStoryArcReply, GetStoryArcRequest
from reference_service.runtime import Runtime
from sdk.errors import CallError, NotFoundError, PermissionDeniedError

_FIRST_REGION = "harbour"


async def start(runtime: Runtime, request: StartSessionRequest) -> StartSessionReply:
    """Begin a session: permission, place, shard, and what goes on for the player."""
    player_id, session_id = request.player_id, uuid.uuid4().hex
    permission = CheckPermissionRequest(principal_id=player_id, permission="session.start")
    if not (await runtime.ask("auth.permission.check", permission, CheckPermissionReply)).allowed:
        raise PermissionDeniedError(f"{player_id} may not begin a session")
    region_id = request.region_id or await _last_region(runtime, player_id)
    await _require_region(runtime, region_id)
    assigned = await runtime.ask(
        "shard.assign", AssignShardRequest(session_id=session_id, region_id=region_id), AssignShardReply
    )
    quests = await runtime.hope(
        "quest.list", ListQuestsRequest(player_id=player_id, status=QUEST_STATUS_ACTIVE), ListQuestsReply
    )
    story = await runtime.hope("story.arc.get", GetStoryArcRequest(arc_id=f"arc-{player_id}"[:64]), GetStoryArcReply)
    session = Session(
        session_id=session_id,
        player_id=player_id,
        status=SESSION_STATUS_RUNNING,
        shard_id=assigned.assignment.shard_id,
        region_id=region_id,
        arc_id=story.arc.arc_id if story is not None else "",
        active_quest_ids=[quest.quest_id for quest in quests.quests] if quests is not None else [],
        started_at=runtime.stamp(),
    )
    try:
        await runtime.store.add(session)
    except CallError:
        await _release(runtime, session_id)
        raise
    await runtime.tell("session.started", _reference(session_id), player_id=player_id, region_id=region_id)
    return StartSessionReply(session=session)


async def end(runtime: Runtime, request: EndSessionRequest) -> EndSessionReply:
    """End a session; one that is over stays as it is."""
    is_over = False

    def close(session: Session) -> None:
        nonlocal is_over
        is_over = session.status == SESSION_STATUS_ENDED
        if not is_over:
            session.status = SESSION_STATUS_ENDED
            session.ended_at.CopyFrom(runtime.stamp())

    session = await runtime.store.change(Session, request.session_id, edit=close)
    # Also when it is over already: whoever ended it may have died before the place was given away.
    await _release(runtime, request.session_id)
    if not is_over:
        reason = EndReason.Name(request.reason).removeprefix("END_REASON_").lower()
        await runtime.tell("session.ended", _reference(request.session_id), player_id=session.player_id, reason=reason)
    return EndSessionReply(session=session)


async def _last_region(runtime: Runtime, player_id: str) -> str:
    reply = await runtime.hope("state.get", GetStateRequest(player_id=player_id, key="place"), GetStateReply)
    known = reply.entry.value.fields["region_id"].string_value if reply is not None else ""
    return known or str(await runtime.setting("session.region.first", _FIRST_REGION))


async def _require_region(runtime: Runtime, region_id: str) -> None:
    try:
        await runtime.ask("world.state.get", GetWorldStateRequest(region_id=region_id), GetWorldStateReply)
    except NotFoundError:
        raise NotFoundError(f"there is no region {region_id}") from None


async def _release(runtime: Runtime, session_id: str) -> None:
    await runtime.hope("shard.release", ReleaseShardRequest(session_id=session_id), ReleaseShardReply)


def _reference(session_id: str) -> EntityReference:
    return EntityReference(kind=ENTITY_KIND_SESSION, id=session_id)


ANSWERS = {StartSessionRequest: start, EndSessionRequest: end}
