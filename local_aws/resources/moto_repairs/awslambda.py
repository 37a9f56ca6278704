"""Lambda: functions run by their own handler, keep their whole configuration, and have one configuration for failures.

moto 5.2.5 runs functions in containers, which the local AWS does not ask a machine to have; it drops several parts of a
function's configuration at creation and most of them at an update; and it keeps a second event-invoke configuration behind the
first, where AWS replaces it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import has_request_context, request
from moto import settings
from moto.awslambda.models import LambdaBackend, LambdaFunction

from local_aws.functions.moto_function import invoke
from local_aws.resources.moto_repairs.patching import add, around

_DROPPED = ("DeadLetterConfig", "FileSystemConfigs", "LoggingConfig", "SnapStart")
_DROPPED_BY_UPDATES = {"TracingConfig": "tracing_config", "KMSKeyArn": "kms_key_arn"}


def endpoint() -> str:
    """Return the address of the server that the request came to."""
    if has_request_context():
        return request.host_url.rstrip("/")
    return f"{settings.moto_server_host()}:{settings.moto_server_port()}"


def _invoke_lambda(self: LambdaFunction, event: Any = None) -> tuple[str, bool, str]:
    """Run the handler; moto asks for the answer, whether it is an error, and the log."""
    outcome = invoke(self, {} if event is None else event, endpoint=endpoint())
    return json.dumps(outcome.payload), outcome.failed, outcome.log


def apply() -> None:
    """Mend invocation and configuration."""
    add(LambdaFunction, _invoke_lambda)

    @around(LambdaFunction, "__init__")
    def keep_configuration(
        original: Callable[..., None], function: LambdaFunction, *arguments: Any, **named: Any
    ) -> None:
        original(function, *arguments, **named)
        spec: dict[str, Any] = named["spec"] if "spec" in named else arguments[1]
        function.more_configuration = {name: spec[name] for name in _DROPPED if name in spec}  # type: ignore[attr-defined]

    @around(LambdaFunction, "update_configuration")
    def update_configuration(
        original: Callable[..., Any], function: LambdaFunction, updates: dict[str, Any]
    ) -> dict[str, Any]:
        function.more_configuration |= {name: updates[name] for name in _DROPPED if name in updates}  # type: ignore[attr-defined]
        for name, attribute in _DROPPED_BY_UPDATES.items():
            if name in updates:
                setattr(function, attribute, updates[name])
        if "EphemeralStorage" in updates:
            function.ephemeral_storage = updates["EphemeralStorage"]["Size"]
        original(function, updates)
        return function.get_configuration()

    @around(LambdaFunction, "get_configuration")
    def get_configuration(
        original: Callable[..., dict[str, Any]], function: LambdaFunction, *arguments: Any, **named: Any
    ) -> dict[str, Any]:
        more: dict[str, Any] = {**function.more_configuration}  # type: ignore[attr-defined]
        if "SnapStart" in more:
            more["SnapStart"] = {"OptimizationStatus": "Off", **more["SnapStart"]}
        return {**original(function, *arguments, **named), **more}

    @around(LambdaBackend, "put_function_event_invoke_config")
    def put_function_event_invoke_config(
        original: Callable[..., Any], backend: LambdaBackend, function_name: str, config: Any
    ) -> Any:
        backend.get_function(function_name).event_invoke_config.clear()
        return original(backend, function_name, config)
