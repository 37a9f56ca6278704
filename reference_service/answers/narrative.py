"""`narrative.*`: what places tell."""

from __future__ import annotations

import hashlib

from proto.generated.gaming.core_ai.v1.inference_pb2 import PURPOSE_NARRATION
from proto.generated.gaming.core_ai.v1.text_pb2 import GenerateTextReply, GenerateTextRequest
from proto.generated.gaming.game.v1.world_pb2 import GetWorldStateReply, GetWorldStateRequest
from proto.generated.gaming.infrastructure.v1.weather_pb2 import GetWeatherReply, GetWeatherRequest, Sky
from proto.generated.gaming.specialized.v1.knowledge_pb2 import SearchKnowledgeReply, SearchKnowledgeRequest
from proto.generated.gaming.specialized.v1.narrative_pb2 import (
    DescribeSceneReply,
    DescribeSceneRequest,
    Scene,
    SceneClue,
)
from reference_service.runtime import Runtime

_ENTITIES = 3
_LAST_SECOND = 2**34


async def describe(runtime: Runtime, request: DescribeSceneRequest) -> DescribeSceneReply:
    """Write what one sees at a place; within an hour, whoever looks sees the same."""
    state = await runtime.ask(
        "world.state.get",
        GetWorldStateRequest(region_id=request.region_id, max_entities=_ENTITIES),
        GetWorldStateReply,
    )
    scene_id = _scene_id(request, int(runtime.now().timestamp()))
    known = await runtime.store.find(Scene, scene_id)
    if known is not None:
        return DescribeSceneReply(scene=known)
    weather = await runtime.hope("weather.get", GetWeatherRequest(region_id=request.region_id), GetWeatherReply)
    past = await runtime.hope(
        "knowledge.search", SearchKnowledgeRequest(query=state.region.name, limit=_ENTITIES), SearchKnowledgeReply
    )
    context = [hit.passage for hit in past.hits] if past is not None else []
    if weather is not None:
        context.append(f"The sky: {Sky.Name(weather.weather.sky).removeprefix('SKY_').lower()}.")
    written = await runtime.ask(
        "ai.text.generate",
        GenerateTextRequest(
            purpose=PURPOSE_NARRATION,
            prompt=f"Describe {state.region.name}.",
            context=context,
            language=request.language,
        ),
        GenerateTextReply,
    )
    scene = Scene(
        scene_id=scene_id,
        region_id=request.region_id,
        description=written.text,
        clues=[
            SceneClue(entity_id=entity.entity_id, text="Somebody has moved it not long ago.", difficulty=0.5)
            for entity in state.entities
        ],
        written_at=runtime.stamp(),
    )
    if not await runtime.store.add(scene):
        scene = await runtime.store.get(Scene, scene_id)
    return DescribeSceneReply(scene=scene)


def _scene_id(request: DescribeSceneRequest, seconds: int) -> str:
    """Return a name that is the same for an hour, and comes before those of earlier hours: lists are in the order of names."""
    hour = seconds // 3600
    looked = f"{request.region_id}/{request.player_id}/{request.language}"
    return f"s-{_LAST_SECOND - hour:09x}-{hashlib.blake2b(looked.encode(), digest_size=8).hexdigest()}"


ANSWERS = {DescribeSceneRequest: describe}
