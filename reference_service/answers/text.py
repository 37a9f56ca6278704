"""`ai.text.*`: prompts made of what is asked, results made of what the router answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from proto.generated.gaming.core_ai.v1.inference_pb2 import (
    PURPOSE_EMBEDDING,
    RunInferenceReply,
    RunInferenceRequest,
    TextBatch,
)
from proto.generated.gaming.core_ai.v1.text_pb2 import (
    ClassifyTextReply,
    ClassifyTextRequest,
    Embedding,
    EmbedTextReply,
    EmbedTextRequest,
    GenerateTextReply,
    GenerateTextRequest,
    LabelScore,
)
from reference_service.runtime import Runtime
from reference_service.validation import refuse

RUN = "ai.inference.run"


async def generate(runtime: Runtime, request: GenerateTextRequest) -> GenerateTextReply:
    """Have a text written."""
    most = int(runtime.variables.get("MAX_PROMPT_CHARACTERS", "16000"))
    if len(request.prompt) > most:
        raise refuse("prompt", f"has {len(request.prompt)} characters; this environment takes {most}")
    facts = "".join(f"\n- {fact}" for fact in request.context)
    prompt = f"{request.prompt}\nKeep to these facts:{facts}" if facts else request.prompt
    if request.language:
        prompt += f"\nAnswer in {request.language}."
    asked = RunInferenceRequest(purpose=request.purpose, prompt=prompt, max_tokens=request.max_tokens)
    if request.HasField("temperature"):
        asked.temperature = request.temperature
    reply = await runtime.ask(RUN, asked, RunInferenceReply)
    return GenerateTextReply(
        text=reply.text, finish_reason=reply.finish_reason, model_id=reply.model_id, usage=reply.usage
    )


async def classify(runtime: Runtime, request: ClassifyTextRequest) -> ClassifyTextReply:
    """Compare a text with labels, as vectors."""
    vectors, model_id = await _vectors(runtime, [request.text, *request.labels])
    scores = [
        LabelScore(label=label, score=max(0.0, min(1.0, _product(vectors[0], vector))))
        for label, vector in zip(request.labels, vectors[1:], strict=True)
    ]
    return ClassifyTextReply(scores=sorted(scores, key=lambda each: -each.score), model_id=model_id)


async def embed(runtime: Runtime, request: EmbedTextRequest) -> EmbedTextReply:
    """Return the vectors of texts."""
    vectors, model_id = await _vectors(runtime, request.texts)
    return EmbedTextReply(embeddings=[Embedding(values=values) for values in vectors], model_id=model_id)


async def _vectors(runtime: Runtime, texts: Sequence[str]) -> tuple[list[list[float]], str]:
    # A label is short and a text long; the router takes texts of the longest that is allowed in a batch.
    batch = TextBatch(texts=[text[:8000] for text in texts])
    reply = await runtime.ask(RUN, RunInferenceRequest(purpose=PURPOSE_EMBEDDING, batch=batch), RunInferenceReply)
    return [_unit(vector.values) for vector in reply.vectors.vectors], reply.model_id


def _unit(values: Sequence[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    return [value / length for value in values]


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(left * right for left, right in zip(one, other, strict=True))


ANSWERS = {GenerateTextRequest: generate, ClassifyTextRequest: classify, EmbedTextRequest: embed}
