"""`settings.put`: a setting keeps its kind of value, and is explained."""

from __future__ import annotations

from proto.generated.gaming.infrastructure.v1.settings_pb2 import PutSettingReply, PutSettingRequest, Setting
from reference_service.runtime import Runtime
from reference_service.validation import refuse
from reference_service.verbs import touch


async def put(runtime: Runtime, request: PutSettingRequest) -> PutSettingReply:
    """Change a setting, or make one."""
    before = await runtime.store.find(Setting, request.name)

    def edit(setting: Setting) -> None:
        if not setting.revision and not request.description:
            raise refuse("description", "is missing; a setting that is new has to say what it does")
        old, new = setting.value.WhichOneof("kind"), request.value.WhichOneof("kind")
        if setting.revision and old != new:
            raise refuse("value", f"is a {new}; {request.name} is a {old}")
        if setting.value == request.value and request.description in {"", setting.description}:
            return
        setting.value.CopyFrom(request.value)
        setting.description = request.description or setting.description
        touch(runtime, setting)

    setting = await runtime.store.change(Setting, request.name, edit=edit, make=lambda: Setting(name=request.name))
    if before is None or before.revision != setting.revision:
        await runtime.tell("settings.changed", name=request.name, revision=setting.revision)
    return PutSettingReply(setting=setting)


ANSWERS = {PutSettingRequest: put}
