"""`ai.model.*`: which version of a model is live, and who answers for a purpose."""

from __future__ import annotations

from proto.generated.gaming.core_ai.v1.model_pb2 import (
    MODEL_STATUS_READY,
    ActivateModelReply,
    ActivateModelRequest,
    Model,
    ResolvedModel,
    ResolveModelReply,
    ResolveModelRequest,
)
from reference_service.runtime import Runtime
from sdk.errors import ConflictError, NotFoundError


async def resolve(runtime: Runtime, request: ResolveModelRequest) -> ResolveModelReply:
    """Return the models with a live version that are good for a purpose; those that know most first, or those that cost least."""
    found = []
    for model in await runtime.store.every(Model):
        version = next((each for each in model.versions if each.version == model.active_version), None)
        if version is not None and request.purpose in model.purposes:
            found.append(
                ResolvedModel(
                    model_id=model.model_id,
                    version=version.version,
                    endpoint=f"{model.model_id}.models.gaming-system.internal",
                    context_tokens=version.context_tokens,
                )
            )
    if not found:
        raise NotFoundError("no model with a live version is good for this purpose")
    # A longer context costs more to run: it is the one sign of a price that a version has.
    found.sort(key=lambda each: each.context_tokens, reverse=not request.prefer_cheap)
    return ResolveModelReply(candidates=found)


async def activate(runtime: Runtime, request: ActivateModelRequest) -> ActivateModelReply:
    """Make a version the live one."""
    previous = ""

    def switch(model: Model) -> None:
        nonlocal previous
        previous = model.active_version
        wanted = next((each for each in model.versions if each.version == request.version), None)
        if wanted is None:
            raise NotFoundError(f"{request.model_id} has no version {request.version}")
        if wanted.status != MODEL_STATUS_READY:
            raise ConflictError(f"version {request.version} of {request.model_id} is not ready")
        model.active_version = request.version

    model = await runtime.store.change(Model, request.model_id, edit=switch)
    if previous != request.version:
        await runtime.tell("model.activated", model_id=request.model_id, version=request.version, previous=previous)
    return ActivateModelReply(model=model, previous_version=previous)


ANSWERS = {ResolveModelRequest: resolve, ActivateModelRequest: activate}
