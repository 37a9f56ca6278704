"""`story.*`: the long story of each player."""

from __future__ import annotations

import hashlib
import uuid

from proto.generated.gaming.core_ai.v1.inference_pb2 import PURPOSE_NARRATION
from proto.generated.gaming.core_ai.v1.text_pb2 import GenerateTextReply, GenerateTextRequest
from proto.generated.gaming.game.v1.quest_pb2 import GetQuestReply, GetQuestRequest
from proto.generated.gaming.game.v1.state_pb2 import (
    GetStateReply,
    GetStateRequest,
    PutStateReply,
    PutStateRequest,
)
from proto.generated.gaming.infrastructure.v1.event_pb2 import Event
from proto.generated.gaming.specialized.v1.knowledge_pb2 import SearchKnowledgeReply, SearchKnowledgeRequest
from proto.generated.gaming.specialized.v1.narrative_pb2 import DescribeSceneReply, DescribeSceneRequest
from proto.generated.gaming.specialized.v1.story_pb2 import (
    ARC_STAGE_CLIMAX,
    ARC_STAGE_ENDED,
    ARC_STAGE_OPENING,
    ARC_STAGE_RISING,
    ArcStage,
    NextBeatReply,
    NextBeatRequest,
    RecordChoiceReply,
    RecordChoiceRequest,
    StoryArc,
    StoryBeat,
    StoryChoice,
    StoryOption,
)
from reference_service.runtime import Runtime, struct
from sdk.errors import ConflictError, NotFoundError

_STAGES = ((2, ARC_STAGE_OPENING), (5, ARC_STAGE_RISING), (8, ARC_STAGE_CLIMAX))


async def next_beat(runtime: Runtime, request: NextBeatRequest) -> NextBeatReply:
    """Go on with a story, where the player has chosen."""
    arc = await runtime.store.get(StoryArc, request.arc_id)
    _require_open(arc)
    place = None
    if request.region_id:
        scene = DescribeSceneRequest(region_id=request.region_id, player_id=arc.player_id)
        place = await runtime.hope("narrative.scene.describe", scene, DescribeSceneReply)
    past = await runtime.hope(
        "knowledge.search", SearchKnowledgeRequest(query=arc.title, limit=3), SearchKnowledgeReply
    )
    mood = await runtime.hope("state.get", GetStateRequest(player_id=arc.player_id, key="story"), GetStateReply)
    context = [hit.passage for hit in past.hits] if past is not None else []
    context += [place.scene.description[:2000]] if place is not None else []
    context += [beat.text[:2000] for beat in arc.beats[-2:]]
    context += [f"The player saw {mood.entry.revision} steps of it."] if mood is not None else []
    written = await runtime.ask(
        "ai.text.generate",
        GenerateTextRequest(purpose=PURPOSE_NARRATION, prompt=f"{arc.title}: what comes next?", context=context),
        GenerateTextReply,
    )
    beat = StoryBeat(
        beat_id=uuid.uuid4().hex,
        text=written.text,
        options=[StoryOption(option_id="go-on", text="Go on."), StoryOption(option_id="turn-back", text="Turn back.")],
        told_at=runtime.stamp(),
    )

    def add(known: StoryArc) -> None:
        _require_open(known)
        known.beats.append(beat)
        known.stage = _stage(known)

    arc = await runtime.store.change(StoryArc, request.arc_id, edit=add)
    seen = struct({"arc_id": arc.arc_id, "beat_id": beat.beat_id})
    await runtime.hope("state.put", PutStateRequest(player_id=arc.player_id, key="story", value=seen), PutStateReply)
    await runtime.tell("story.advanced", arc_id=arc.arc_id, player_id=arc.player_id, stage=ArcStage.Name(arc.stage))
    return NextBeatReply(beat=beat, stage=arc.stage)


async def choose(runtime: Runtime, request: RecordChoiceRequest) -> RecordChoiceReply:
    """Note what a player has chosen."""

    def note(arc: StoryArc) -> None:
        beat = next((each for each in arc.beats if each.beat_id == request.beat_id), None)
        if beat is None:
            raise NotFoundError(f"{request.arc_id} has no beat {request.beat_id}")
        if request.option_id not in {option.option_id for option in beat.options}:
            raise NotFoundError(f"{request.beat_id} has no option {request.option_id}")
        if any(choice.beat_id == request.beat_id for choice in arc.choices):
            raise ConflictError(f"something was chosen at {request.beat_id} already")
        arc.choices.append(StoryChoice(beat_id=request.beat_id, option_id=request.option_id, chosen_at=runtime.stamp()))

    arc = await runtime.store.change(StoryArc, request.arc_id, edit=note)
    await runtime.tell("story.chosen", arc_id=arc.arc_id, player_id=arc.player_id, option_id=request.option_id)
    return RecordChoiceReply(arc=arc)


async def heard(runtime: Runtime, event: Event) -> None:
    """Begin a story for a player who begins to play, and tell of the quests that a player has completed, once each."""
    player_id = event.payload.fields["player_id"].string_value if "player_id" in event.payload.fields else ""
    if not player_id:
        return
    arc_id = f"arc-{player_id}"[:64]
    if event.type == "session.started":
        await runtime.store.add(
            StoryArc(arc_id=arc_id, player_id=player_id, title="The long way home", stage=ARC_STAGE_OPENING)
        )
    elif event.type == "quest.completed" and await runtime.store.find(StoryArc, arc_id) is not None:
        quest_id = event.payload.fields["quest_id"].string_value
        quest = await runtime.hope("quest.get", GetQuestRequest(quest_id=quest_id), GetQuestReply)
        title = quest.quest.title if quest is not None else quest_id
        beat_id = hashlib.blake2b(event.event_id.encode(), digest_size=16).hexdigest()
        beat = StoryBeat(beat_id=beat_id, text=f"It is done: {title}.", quest_id=quest_id, told_at=runtime.stamp())

        def add(arc: StoryArc) -> None:
            # An event may come twice.
            if arc.stage != ARC_STAGE_ENDED and beat_id not in {each.beat_id for each in arc.beats}:
                arc.beats.append(beat)
                arc.stage = _stage(arc)

        await runtime.store.change(StoryArc, arc_id, edit=add)


def _require_open(arc: StoryArc) -> None:
    if arc.stage == ARC_STAGE_ENDED:
        raise ConflictError(f"{arc.arc_id} is told to its end")
    if arc.beats and arc.beats[-1].options:
        last = arc.beats[-1].beat_id
        if last not in {choice.beat_id for choice in arc.choices}:
            raise ConflictError(f"the player has not chosen at {last} yet")


def _stage(arc: StoryArc) -> ArcStage.ValueType:
    return next((stage for end, stage in _STAGES if len(arc.beats) <= end), ARC_STAGE_ENDED)


ANSWERS = {NextBeatRequest: next_beat, RecordChoiceRequest: choose}
CONSUMERS = {"story-progress": heard}
