"""`world.*`: regions, and what is in them."""

from __future__ import annotations

from google.protobuf.struct_pb2 import Struct

from proto.generated.gaming.common.v1.types_pb2 import EntityReference
from proto.generated.gaming.game.v1.world_pb2 import (
    Entity,
    GetWorldStateReply,
    GetWorldStateRequest,
    Region,
    UpdateEntityReply,
    UpdateEntityRequest,
)
from proto.generated.gaming.infrastructure.v1.time_pb2 import GetTimeReply, GetTimeRequest
from proto.generated.gaming.infrastructure.v1.weather_pb2 import GetWeatherReply, GetWeatherRequest
from reference_service.runtime import Runtime
from reference_service.validation import refuse
from reference_service.verbs import check_revision, touch

_LARGEST_ATTRIBUTES = 16_000


async def state(runtime: Runtime, request: GetWorldStateRequest) -> GetWorldStateReply:
    """Return how things stand in a region."""
    region = await runtime.store.get(Region, request.region_id)
    reply = GetWorldStateReply(region=region, observed_at=runtime.stamp())
    time = await runtime.hope("time.get", GetTimeRequest(), GetTimeReply)
    if time is not None:
        reply.time.CopyFrom(time.world_time)
    weather = await runtime.hope("weather.get", GetWeatherRequest(region_id=request.region_id), GetWeatherReply)
    if weather is not None:
        reply.weather.CopyFrom(weather.weather)
    if request.max_entities:
        entities = await runtime.store.every(Entity)
        reply.entities.extend(
            [entity for entity in entities if entity.position.region_id == request.region_id][: request.max_entities]
        )
    return reply


async def update(runtime: Runtime, request: UpdateEntityRequest) -> UpdateEntityReply:
    """Move or change a thing."""
    if request.HasField("position"):
        await runtime.store.get(Region, request.position.region_id)

    def edit(entity: Entity) -> None:
        check_revision(request, entity)
        if request.HasField("position"):
            entity.position.CopyFrom(request.position)
        _merge(entity.attributes, request.attributes)
        touch(runtime, entity)

    entity = await runtime.store.change(Entity, request.entity_id, edit=edit)
    reference = EntityReference(kind=entity.kind, id=entity.entity_id)
    await runtime.tell("world.entity.changed", reference, revision=entity.revision)
    return UpdateEntityReply(entity=entity)


def _merge(attributes: Struct, changes: Struct) -> None:
    for name, value in changes.fields.items():
        if value.WhichOneof("kind") == "null_value":
            attributes.fields.pop(name, None)
        else:
            attributes.fields[name].CopyFrom(value)
    if attributes.ByteSize() > _LARGEST_ATTRIBUTES:
        raise refuse("attributes", f"would have {attributes.ByteSize()} bytes in all; allowed: {_LARGEST_ATTRIBUTES}")


ANSWERS = {GetWorldStateRequest: state, UpdateEntityRequest: update}
