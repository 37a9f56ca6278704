"""`shard.*`: which copy of the world a session plays on."""

from __future__ import annotations

from collections import Counter

from proto.generated.gaming.game.v1.shard_pb2 import AssignShardReply, AssignShardRequest, ShardAssignment
from proto.generated.gaming.game.v1.world_pb2 import ListRegionsReply, ListRegionsRequest
from proto.generated.gaming.specialized.v1.capability_pb2 import ListCapabilitiesReply, ListCapabilitiesRequest
from proto.generated.gaming.specialized.v1.performance_pb2 import (
    PERFORMANCE_MODE_ECONOMY,
    GetPerformanceModeReply,
    GetPerformanceModeRequest,
)
from reference_service.runtime import Runtime
from sdk.errors import ConflictError, NotFoundError, ResourceExhaustedError

_SHARDS_A_REGION = 4
_PLACES, _PLACES_SAVING = 500, 800


async def assign(runtime: Runtime, request: AssignShardRequest) -> AssignShardReply:
    """Give a session the emptiest shard of its region, or the one that it prefers; one that it has stays."""
    known = await runtime.store.find(ShardAssignment, request.session_id)
    if known is not None:
        return AssignShardReply(assignment=known)
    await _check(runtime, request)
    performance = await runtime.hope("performance.mode.get", GetPerformanceModeRequest(), GetPerformanceModeReply)
    is_saving = performance is not None and performance.mode == PERFORMANCE_MODE_ECONOMY
    places = _PLACES_SAVING if is_saving else _PLACES
    taken = Counter(each.shard_id for each in await runtime.store.every(ShardAssignment))
    shards = [f"{request.region_id[:60]}-{number + 1}" for number in range(_SHARDS_A_REGION)]
    wanted = request.preferred_shard_id
    shard_id = wanted if wanted in shards and taken[wanted] < places else min(shards, key=lambda each: taken[each])
    if taken[shard_id] >= places:
        raise ResourceExhaustedError(f"all shards of {request.region_id} are full", retry_after_seconds=5.0)
    assignment = ShardAssignment(
        session_id=request.session_id,
        shard_id=shard_id,
        region_id=request.region_id,
        load=(taken[shard_id] + 1) / places,
        assigned_at=runtime.stamp(),
    )
    if not await runtime.store.add(assignment):  # the other replica was asked the same
        assignment = await runtime.store.get(ShardAssignment, request.session_id)
    return AssignShardReply(assignment=assignment)


async def _check(runtime: Runtime, request: AssignShardRequest) -> None:
    regions = await runtime.hope("world.region.list", ListRegionsRequest(page_size=100), ListRegionsReply)
    if (
        regions is not None
        and not regions.next_page_token
        and request.region_id not in {region.region_id for region in regions.regions}
    ):
        raise NotFoundError(f"there is no region {request.region_id}")
    if request.required_capability_ids:
        reply = await runtime.ask("capability.list", ListCapabilitiesRequest(page_size=100), ListCapabilitiesReply)
        missing = set(request.required_capability_ids) - {each.capability_id for each in reply.capabilities}
        if missing:
            raise ConflictError(f"no shard is able to do {', '.join(sorted(missing))}")


ANSWERS = {AssignShardRequest: assign}
