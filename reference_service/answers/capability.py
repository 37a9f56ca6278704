"""`capability.register`: a capability stands on others that are there."""

from __future__ import annotations

from proto.generated.gaming.specialized.v1.capability_pb2 import (
    Capability,
    RegisterCapabilityReply,
    RegisterCapabilityRequest,
)
from reference_service.runtime import Runtime
from reference_service.validation import refuse
from reference_service.verbs import by_name

_register = by_name(RegisterCapabilityRequest, RegisterCapabilityReply)


async def register(runtime: Runtime, request: RegisterCapabilityRequest) -> RegisterCapabilityReply:
    """Add a capability, or put it in the place of another one."""
    for number, required in enumerate(request.capability.requires_ids):
        if required == request.capability.capability_id or await runtime.store.find(Capability, required) is None:
            raise refuse(f"capability.requires_ids[{number}]", f"is {required!r}, which is not registered")
    assert _register is not None  # noqa: S101  # the names of these messages are what `by_name` reads
    reply = await _register(runtime, request)
    assert isinstance(reply, RegisterCapabilityReply)  # noqa: S101  # it was asked for this type
    return reply


ANSWERS = {RegisterCapabilityRequest: register}
