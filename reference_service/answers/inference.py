"""`ai.inference.*`: choose a model, and stand for it.

No model is part of this repository, so what "answers" here is arithmetic: vectors of hashed words, which do tell like from unlike, and
sentences put together of the words of the prompt. A team's image has the real ones.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re

from google.protobuf.duration_pb2 import Duration

from proto.generated.gaming.core_ai.v1.inference_pb2 import (
    FINISH_REASON_LENGTH,
    FINISH_REASON_STOP,
    PlanInferenceReply,
    PlanInferenceRequest,
    Purpose,
    RunInferenceReply,
    RunInferenceRequest,
    TokenUsage,
    Vector,
    VectorBatch,
)
from proto.generated.gaming.core_ai.v1.model_pb2 import ResolveModelReply, ResolveModelRequest
from proto.generated.gaming.specialized.v1.performance_pb2 import (
    PERFORMANCE_MODE_ECONOMY,
    GetPerformanceModeReply,
    GetPerformanceModeRequest,
)
from reference_service.runtime import Runtime
from reference_service.validation import refuse
from sdk.errors import ConflictError

_DIMENSIONS = 64
_MILLISECONDS_A_TOKEN = 2
_BASE_MILLISECONDS = 50
_USUAL_TOKENS = 256
_WORD = re.compile(r"\w+")
_SHORTEST = 5


async def plan(runtime: Runtime, request: PlanInferenceRequest) -> PlanInferenceReply:
    """Say which model would answer."""
    resolved, _ = await _resolve(runtime, request.purpose)
    fitting = [model for model in resolved.candidates if model.context_tokens >= request.prompt_tokens]
    if not fitting:
        raise refuse("prompt_tokens", f"is {request.prompt_tokens}; no model for this purpose reads as many")
    expected = Duration()
    expected.FromMilliseconds(_BASE_MILLISECONDS + request.prompt_tokens * _MILLISECONDS_A_TOKEN // 10)
    if request.HasField("deadline") and expected.ToNanoseconds() > request.deadline.ToNanoseconds():
        raise ConflictError(f"the quickest model takes {expected.ToMilliseconds()} ms, longer than the deadline")
    best, *others = fitting
    return PlanInferenceReply(
        model_id=best.model_id,
        version=best.version,
        expected_duration=expected,
        fallback_model_ids=[model.model_id for model in others],
    )


async def run(runtime: Runtime, request: RunInferenceRequest) -> RunInferenceReply:
    """Answer as a model would."""
    resolved, most = await _resolve(runtime, request.purpose)
    model_id = resolved.candidates[0].model_id
    if request.WhichOneof("input") == "batch":
        vectors = VectorBatch(vectors=[Vector(values=embedded(text)) for text in request.batch.texts])
        read = sum(len(_WORD.findall(text)) for text in request.batch.texts)
        usage = TokenUsage(prompt_tokens=read)
        return RunInferenceReply(vectors=vectors, finish_reason=FINISH_REASON_STOP, model_id=model_id, usage=usage)
    words = composed(request.prompt).split()
    limit = min(request.max_tokens or _USUAL_TOKENS, most)
    return RunInferenceReply(
        text=" ".join(words[:limit]),
        finish_reason=FINISH_REASON_LENGTH if len(words) > limit else FINISH_REASON_STOP,
        model_id=model_id,
        usage=TokenUsage(prompt_tokens=len(_WORD.findall(request.prompt)), completion_tokens=min(limit, len(words))),
    )


def embedded(text: str) -> list[float]:
    """Return a vector of a text's words, of length 1: the more words two texts share, the nearer they are."""
    values = [0.0] * _DIMENSIONS
    for word in _WORD.findall(text.lower()):
        digest = hashlib.blake2b(word.encode(), digest_size=2).digest()
        values[digest[0] % _DIMENSIONS] += 1.0 if digest[1] % 2 else -1.0
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    return [value / length for value in values]


def composed(prompt: str) -> str:
    """Return a few sentences about the longest words of a prompt; the same prompt gives the same ones."""
    words = dict.fromkeys(word.lower() for word in _WORD.findall(prompt) if len(word) >= _SHORTEST)
    told = sorted(words, key=lambda word: (-len(word), word))[:6] or ["silence"]
    sentences = [f"This is a tale of {told[0]}."]
    sentences += [f"Where {one} ends, {other} begins." for one, other in itertools.pairwise(told[1:])]
    return " ".join(sentences)


async def _resolve(runtime: Runtime, purpose: Purpose.ValueType) -> tuple[ResolveModelReply, int]:
    """Return who answers, and how many tokens they may: less where the platform saves."""
    performance = await runtime.remembered("performance.mode.get", GetPerformanceModeRequest(), GetPerformanceModeReply)
    is_saving = performance is not None and performance.mode == PERFORMANCE_MODE_ECONOMY
    resolved = await runtime.ask(
        "ai.model.resolve", ResolveModelRequest(purpose=purpose, prefer_cheap=is_saving), ResolveModelReply
    )
    budget = performance.budget.max_inference_tokens if performance is not None else 0
    return resolved, budget or 4096


ANSWERS = {PlanInferenceRequest: plan, RunInferenceRequest: run}
