"""`performance.*`: how much the platform spends."""

from __future__ import annotations

from proto.generated.gaming.specialized.v1.performance_pb2 import (
    PERFORMANCE_MODE_BALANCED,
    PERFORMANCE_MODE_ECONOMY,
    PERFORMANCE_MODE_QUALITY,
    GetPerformanceModeReply,
    GetPerformanceModeRequest,
    PerformanceBudget,
    PerformanceMode,
    SetPerformanceModeReply,
    SetPerformanceModeRequest,
)
from reference_service.runtime import Runtime

_MODE = "mode"
_BUDGETS = {
    PERFORMANCE_MODE_QUALITY: PerformanceBudget(ticks_per_second=30, max_inference_tokens=4096, max_active_npcs=200),
    PERFORMANCE_MODE_BALANCED: PerformanceBudget(ticks_per_second=20, max_inference_tokens=1024, max_active_npcs=100),
    PERFORMANCE_MODE_ECONOMY: PerformanceBudget(ticks_per_second=10, max_inference_tokens=256, max_active_npcs=25),
}


async def get(runtime: Runtime, _: GetPerformanceModeRequest) -> GetPerformanceModeReply:
    """Return the mode."""
    found = await runtime.store.find(GetPerformanceModeReply, _MODE)
    if found is not None:
        return found
    return await runtime.store.change(
        GetPerformanceModeReply, _MODE, edit=lambda _: None, make=lambda: _in_mode(runtime, PERFORMANCE_MODE_BALANCED)
    )


async def set_(runtime: Runtime, request: SetPerformanceModeRequest) -> SetPerformanceModeReply:
    """Change the mode."""
    previous = PERFORMANCE_MODE_BALANCED

    def change(kept: GetPerformanceModeReply) -> None:
        nonlocal previous
        previous = kept.mode
        if previous != request.mode:
            kept.CopyFrom(_in_mode(runtime, request.mode))

    await runtime.store.change(
        GetPerformanceModeReply, _MODE, edit=change, make=lambda: _in_mode(runtime, PERFORMANCE_MODE_BALANCED)
    )
    if previous != request.mode:
        await runtime.tell("performance.mode.changed", mode=PerformanceMode.Name(request.mode), reason=request.reason)
    return SetPerformanceModeReply(previous_mode=previous, budget=_BUDGETS[request.mode])


def _in_mode(runtime: Runtime, mode: PerformanceMode.ValueType) -> GetPerformanceModeReply:
    return GetPerformanceModeReply(mode=mode, budget=_BUDGETS[mode], since=runtime.stamp())


ANSWERS = {GetPerformanceModeRequest: get, SetPerformanceModeRequest: set_}
