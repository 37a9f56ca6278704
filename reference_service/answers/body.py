"""`body.*`: who lives in which body."""

from __future__ import annotations

from proto.generated.gaming.common.v1.types_pb2 import EntityKind, EntityReference
from proto.generated.gaming.game.v1.world_pb2 import (
    GetEntityReply,
    GetEntityRequest,
    UpdateEntityReply,
    UpdateEntityRequest,
)
from proto.generated.gaming.specialized.v1.body_pb2 import (
    BODY_STATUS_CLAIMED,
    BODY_STATUS_FREE,
    Body,
    ClaimBodyReply,
    ClaimBodyRequest,
    GetBodyReply,
    GetBodyRequest,
    ReleaseBodyReply,
    ReleaseBodyRequest,
)
from proto.generated.gaming.specialized.v1.capability_pb2 import GetCapabilityReply, GetCapabilityRequest
from reference_service.runtime import Runtime, struct
from reference_service.validation import refuse
from sdk.errors import ConflictError, NotFoundError


async def get(runtime: Runtime, request: GetBodyRequest) -> GetBodyReply:
    """Return a body, at the place where the world has it."""
    body = await runtime.store.get(Body, request.body_id)
    found = await runtime.hope("world.entity.get", GetEntityRequest(entity_id=request.body_id), GetEntityReply)
    if found is not None and found.entity.HasField("position"):
        body.position.CopyFrom(found.entity.position)
    return GetBodyReply(body=body)


async def claim(runtime: Runtime, request: ClaimBodyRequest) -> ClaimBodyReply:
    """Let somebody move into a body, and out of the one that they had."""
    for number, capability_id in enumerate(request.required_capability_ids):
        try:
            asked = GetCapabilityRequest(capability_id=capability_id)
            await runtime.ask("capability.get", asked, GetCapabilityReply)
        except NotFoundError:
            why = f"is {capability_id!r}, which is not registered"
            raise refuse(f"required_capability_ids[{number}]", why) from None

    def move_in(body: Body) -> None:
        if body.status == BODY_STATUS_CLAIMED and body.holder == request.holder:
            return
        if body.status != BODY_STATUS_FREE:
            raise ConflictError(f"{request.body_id} is not free")
        missing = sorted(set(request.required_capability_ids) - set(body.capability_ids))
        if missing:
            raise ConflictError(f"{request.body_id} is not able to do {', '.join(missing)}")
        body.status = BODY_STATUS_CLAIMED
        body.holder.CopyFrom(request.holder)
        body.claimed_at.CopyFrom(runtime.stamp())

    body = await runtime.store.change(Body, request.body_id, edit=move_in)
    # The bodies themselves say who lives in them: an index beside them could say otherwise after a crash.
    previous = ""
    for other in await runtime.store.every(Body):
        if other.body_id != body.body_id and other.holder == request.holder:
            await _free(runtime, other.body_id, request.holder)
            previous = other.body_id
    await _note(runtime, body)
    await runtime.tell("body.claimed", request.holder, body_id=body.body_id, previous=previous)
    return ClaimBodyReply(body=body, previous_body_id=previous)


async def release(runtime: Runtime, request: ReleaseBodyRequest) -> ReleaseBodyReply:
    """Let whoever lives in a body move out; one that nobody lives in stays as it is."""
    before = await runtime.store.get(Body, request.body_id)
    body = await _free(runtime, request.body_id, None)
    if before.status == BODY_STATUS_CLAIMED:
        await _note(runtime, body)
        await runtime.tell("body.released", before.holder, body_id=body.body_id)
    return ReleaseBodyReply(body=body)


async def _free(runtime: Runtime, body_id: str, holder: EntityReference | None) -> Body:
    def move_out(body: Body) -> None:
        if body.status == BODY_STATUS_CLAIMED and (holder is None or body.holder == holder):
            body.status = BODY_STATUS_FREE
            body.ClearField("holder")
            body.ClearField("claimed_at")

    return await runtime.store.change(Body, body_id, edit=move_out)


async def _note(runtime: Runtime, body: Body) -> None:
    """Let the world know who lives in a body; it may know it later too."""
    found = await runtime.hope("world.entity.get", GetEntityRequest(entity_id=body.body_id), GetEntityReply)
    if found is None:
        return
    holder = f"{EntityKind.Name(body.holder.kind)}/{body.holder.id}" if body.HasField("holder") else None
    await runtime.hope(
        "world.entity.update",
        UpdateEntityRequest(
            entity_id=body.body_id,
            expected_revision=found.entity.revision,
            attributes=struct({"holder": holder}),
        ),
        UpdateEntityReply,
    )


ANSWERS = {GetBodyRequest: get, ClaimBodyRequest: claim, ReleaseBodyRequest: release}
