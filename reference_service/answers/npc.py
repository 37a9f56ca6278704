"""`npc.*`: what characters do and say."""

from __future__ import annotations

import uuid

from google.protobuf.duration_pb2 import Duration

from proto.generated.gaming.core_ai.v1.inference_pb2 import PURPOSE_DIALOGUE
from proto.generated.gaming.core_ai.v1.text_pb2 import GenerateTextReply, GenerateTextRequest
from proto.generated.gaming.game.v1.npc_pb2 import (
    ACTION_ATTACK,
    ACTION_FLEE,
    ACTION_MOVE,
    ACTION_SPEAK,
    ACTION_TRADE,
    ACTION_WAIT,
    MOOD_AFRAID,
    MOOD_CALM,
    MOOD_FRIENDLY,
    MOOD_HOSTILE,
    STIMULUS_KIND_APPROACH,
    STIMULUS_KIND_ATTACK,
    STIMULUS_KIND_QUEST,
    STIMULUS_KIND_SENSE,
    STIMULUS_KIND_SPEECH,
    DecideBehaviorReply,
    DecideBehaviorRequest,
    Npc,
    SpeakReply,
    SpeakRequest,
)
from proto.generated.gaming.game.v1.world_pb2 import GetWorldStateReply, GetWorldStateRequest
from proto.generated.gaming.specialized.v1.capability_pb2 import GetCapabilityReply, GetCapabilityRequest
from proto.generated.gaming.specialized.v1.knowledge_pb2 import SearchKnowledgeReply, SearchKnowledgeRequest
from reference_service.runtime import Runtime

FIGHTING = "fighting"
_REACTIONS = {
    STIMULUS_KIND_APPROACH: (ACTION_SPEAK, MOOD_CALM),
    STIMULUS_KIND_SPEECH: (ACTION_SPEAK, MOOD_FRIENDLY),
    STIMULUS_KIND_ATTACK: (ACTION_FLEE, MOOD_AFRAID),
    STIMULUS_KIND_QUEST: (ACTION_TRADE, MOOD_FRIENDLY),
    STIMULUS_KIND_SENSE: (ACTION_MOVE, MOOD_CALM),
}
_VALID_SECONDS = 5


async def decide(runtime: Runtime, request: DecideBehaviorRequest) -> DecideBehaviorReply:
    """React to what is strongest of all that a character has noticed."""
    npc = await runtime.store.get(Npc, request.npc_id)
    valid_for = Duration(seconds=_VALID_SECONDS)
    if not request.stimuli:
        return DecideBehaviorReply(action=ACTION_WAIT, mood=npc.mood, valid_for=valid_for)
    strongest = max(request.stimuli, key=lambda stimulus: stimulus.intensity)
    action, mood = _REACTIONS[strongest.kind]
    if action == ACTION_FLEE and await _can_fight(runtime, npc):
        action, mood = ACTION_ATTACK, MOOD_HOSTILE
    reply = DecideBehaviorReply(action=action, mood=mood, valid_for=valid_for)
    if strongest.HasField("source"):
        reply.target.CopyFrom(strongest.source)
    if action in {ACTION_MOVE, ACTION_FLEE}:
        reply.destination.CopyFrom(npc.position)
        reply.destination.x += 10.0 if action == ACTION_MOVE else -10.0
    return reply


async def speak(runtime: Runtime, request: SpeakRequest) -> SpeakReply:
    """Answer a player, with what is known of what they say."""
    npc = await runtime.store.get(Npc, request.npc_id)
    known = await runtime.hope(
        "knowledge.search", SearchKnowledgeRequest(query=request.text, limit=3), SearchKnowledgeReply
    )
    place = await runtime.hope(
        "world.state.get", GetWorldStateRequest(region_id=npc.position.region_id), GetWorldStateReply
    )
    context = [f"The speaker is {npc.name}, {npc.role}."]
    context += [hit.passage[:2000] for hit in known.hits] if known is not None else []
    context += [f"The place is {place.region.name}."] if place is not None else []
    reply = await runtime.ask(
        "ai.text.generate",
        GenerateTextRequest(purpose=PURPOSE_DIALOGUE, prompt=request.text, context=context, max_tokens=200),
        GenerateTextReply,
    )
    return SpeakReply(
        conversation_id=request.conversation_id or uuid.uuid4().hex,
        text=reply.text,
        mood=MOOD_FRIENDLY if npc.mood == MOOD_CALM else npc.mood,
    )


async def _can_fight(runtime: Runtime, npc: Npc) -> bool:
    if FIGHTING not in npc.capability_ids:
        return False
    found = await runtime.hope("capability.get", GetCapabilityRequest(capability_id=FIGHTING), GetCapabilityReply)
    return found is not None


ANSWERS = {DecideBehaviorRequest: decide, SpeakRequest: speak}
