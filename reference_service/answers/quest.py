"""`quest.*`: quests, who has taken them and how far they are."""

from __future__ import annotations

from proto.generated.gaming.common.v1.types_pb2 import ENTITY_KIND_PLAYER, EntityReference
from proto.generated.gaming.game.v1.npc_pb2 import (
    STIMULUS_KIND_QUEST,
    DecideBehaviorReply,
    DecideBehaviorRequest,
    Stimulus,
)
from proto.generated.gaming.game.v1.quest_pb2 import (
    QUEST_STATUS_ACTIVE,
    QUEST_STATUS_AVAILABLE,
    QUEST_STATUS_COMPLETED,
    AcceptQuestReply,
    AcceptQuestRequest,
    AdvanceQuestReply,
    AdvanceQuestRequest,
    GetQuestReply,
    GetQuestRequest,
    ListQuestsReply,
    ListQuestsRequest,
    Quest,
    QuestProgress,
)
from proto.generated.gaming.game.v1.state_pb2 import GetStateReply, GetStateRequest
from proto.generated.gaming.game.v1.world_pb2 import GetWorldStateReply, GetWorldStateRequest
from proto.generated.gaming.infrastructure.v1.event_pb2 import Event
from reference_service.records import page
from reference_service.runtime import Runtime
from reference_service.validation import refuse
from sdk.errors import AlreadyExistsError, CallError, ConflictError, NotFoundError


async def get(runtime: Runtime, request: GetQuestRequest) -> GetQuestReply:
    """Return a quest, and how far a player is in it."""
    quest = await runtime.store.get(Quest, request.quest_id)
    progress = None
    if request.player_id:
        progress = await runtime.store.find(QuestProgress, request.player_id, request.quest_id)
    return GetQuestReply(quest=quest, progress=progress)


async def list_(runtime: Runtime, request: ListQuestsRequest) -> ListQuestsReply:
    """Return quests by region, and by where they stand for a player."""
    if request.status and not request.player_id:
        raise refuse("player_id", "is missing; it is required with a status")
    taken = {}
    if request.player_id:
        taken = {each.quest_id: each for each in await runtime.store.every(QuestProgress, request.player_id)}
    found = []
    for quest in await runtime.store.every(Quest):
        status = taken[quest.quest_id].status if quest.quest_id in taken else QUEST_STATUS_AVAILABLE
        if request.region_id in {"", quest.region_id} and request.status in {0, status}:
            found.append(quest)
    quests, token = page(found, request.page_size, request.page_token)
    progress = [taken[quest.quest_id] for quest in quests if quest.quest_id in taken]
    return ListQuestsReply(quests=quests, progress=progress, next_page_token=token)


async def accept(runtime: Runtime, request: AcceptQuestRequest) -> AcceptQuestReply:
    """Let a player take a quest on."""
    quest = await runtime.store.get(Quest, request.quest_id)
    await _require_place(runtime, quest)
    if quest.min_level and (level := await _level(runtime, request.player_id)) < quest.min_level:
        raise ConflictError(f"{request.quest_id} is for players from level {quest.min_level} on; this one has {level}")
    progress = QuestProgress(
        quest_id=request.quest_id,
        player_id=request.player_id,
        status=QUEST_STATUS_ACTIVE,
        accepted_at=runtime.stamp(),
        done_by_objective={objective.objective_id: 0 for objective in quest.objectives},
    )
    if not await runtime.store.add(progress, request.player_id, request.quest_id):
        raise AlreadyExistsError(f"{request.player_id} has taken {request.quest_id} already")
    stimulus = Stimulus(kind=STIMULUS_KIND_QUEST, source=_player(request.player_id), intensity=0.5)
    decided = await runtime.hope(
        "npc.behavior.decide",
        DecideBehaviorRequest(npc_id=quest.giver_npc_id, stimuli=[stimulus]),
        DecideBehaviorReply,
    )
    await _tell(runtime, "quest.accepted", progress)
    return AcceptQuestReply(progress=progress, giver_line=f"{quest.title}: be careful." if decided is not None else "")


async def advance(runtime: Runtime, request: AdvanceQuestRequest) -> AdvanceQuestReply:
    """Count what a player has done."""
    quest = await runtime.store.get(Quest, request.quest_id)
    if request.objective_id not in {objective.objective_id for objective in quest.objectives}:
        raise NotFoundError(f"{request.quest_id} has no objective {request.objective_id}")

    def count(progress: QuestProgress) -> None:
        if progress.status != QUEST_STATUS_ACTIVE:
            raise ConflictError(f"{request.quest_id} is over for {request.player_id}")
        done = progress.done_by_objective[request.objective_id] + request.amount
        _record(runtime, quest, progress, request.objective_id, done)

    progress = await runtime.store.change(QuestProgress, request.player_id, request.quest_id, edit=count)
    await _tell(runtime, "quest.completed" if progress.status == QUEST_STATUS_COMPLETED else "quest.advanced", progress)
    return AdvanceQuestReply(progress=progress)


async def heard(runtime: Runtime, event: Event) -> None:
    """Count what has happened to a player, where the event names one of the objectives of a quest that the player has taken.

    An event may come twice, so it does not add: what was met is met, once.
    """
    player_id = event.payload.fields["player_id"].string_value if "player_id" in event.payload.fields else ""
    if not player_id or not event.entity.id:
        return
    for taken in await runtime.store.every(QuestProgress, player_id):
        if taken.status != QUEST_STATUS_ACTIVE or event.entity.id not in taken.done_by_objective:
            continue
        quest = await runtime.store.get(Quest, taken.quest_id)

        def meet(progress: QuestProgress, quest: Quest = quest) -> None:
            if progress.status == QUEST_STATUS_ACTIVE:
                done = max(1, progress.done_by_objective[event.entity.id])
                _record(runtime, quest, progress, event.entity.id, done)

        progress = await runtime.store.change(QuestProgress, player_id, taken.quest_id, edit=meet)
        if progress.status == QUEST_STATUS_COMPLETED:
            await _tell(runtime, "quest.completed", progress)


def _record(runtime: Runtime, quest: Quest, progress: QuestProgress, objective_id: str, done: int) -> None:
    targets = {objective.objective_id: objective.target for objective in quest.objectives}
    progress.done_by_objective[objective_id] = min(done, targets[objective_id])
    if all(progress.done_by_objective[name] >= target for name, target in targets.items()):
        progress.status = QUEST_STATUS_COMPLETED
        progress.finished_at.CopyFrom(runtime.stamp())


async def _require_place(runtime: Runtime, quest: Quest) -> None:
    """Refuse a quest whose region is gone; a world that cannot be asked now keeps nobody from playing."""
    asked = GetWorldStateRequest(region_id=quest.region_id)
    try:
        await runtime.ask("world.state.get", asked, GetWorldStateReply)
    except NotFoundError:
        raise ConflictError(f"the place where {quest.quest_id} begins, {quest.region_id}, is no more") from None
    except CallError:  # the client has logged it
        return


async def _level(runtime: Runtime, player_id: str) -> int:
    reply = await runtime.hope("state.get", GetStateRequest(player_id=player_id, key="profile"), GetStateReply)
    return 1 if reply is None else int(reply.entry.value.fields["level"].number_value) or 1


def _player(player_id: str) -> EntityReference:
    return EntityReference(kind=ENTITY_KIND_PLAYER, id=player_id)


async def _tell(runtime: Runtime, event_type: str, progress: QuestProgress) -> None:
    payload = {"quest_id": progress.quest_id, "player_id": progress.player_id}
    await runtime.tell(event_type, _player(progress.player_id), **payload)


ANSWERS = {GetQuestRequest: get, ListQuestsRequest: list_, AcceptQuestRequest: accept, AdvanceQuestRequest: advance}
CONSUMERS = {"quest-progress": heard}
