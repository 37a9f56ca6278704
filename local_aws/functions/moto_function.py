"""Functions as moto keeps them, made ready to run."""

from __future__ import annotations

from typing import Any

from moto.awslambda.models import LambdaFunction, lambda_backends

from local_aws.functions.runner import Invocation, Outcome, run
from local_aws.functions.surroundings import in_these_surroundings


def function_at(arn: str) -> LambdaFunction | None:
    """Return the function with an ARN, if there is one."""
    parts = arn.split(":")
    if parts[2:3] != ["lambda"]:
        return None
    return lambda_backends[parts[4]][parts[3]].get_function_by_arn(arn)


def invoke(function: LambdaFunction, event: Any, *, endpoint: str, at_most_seconds: float | None = None) -> Outcome:
    """Run a function's handler and keep what it printed in its log group."""
    backend = lambda_backends[function.account_id][function.region]
    layers = [backend.layers_versions_by_arn(layer["Arn"]) for layer in function.layers]
    outcome = run(
        Invocation(
            name=function.function_name,
            arn=function.function_arn,
            version=str(function.version),
            runtime=function.run_time or "",
            handler=function.handler or "",
            archive=function.code_bytes,
            layers=[layer.code_bytes for layer in layers if layer],
            environment=in_these_surroundings({name: str(value) for name, value in function.environment_vars.items()}),
            memory_mib=function.memory_size,
            timeout_seconds=min(function.timeout, at_most_seconds or function.timeout),
            region=function.region,
            endpoint=endpoint,
            event=event,
        )
    )
    function.logs_backend.ensure_log_group(function.logs_group_name)
    function.save_logs(outcome.log)
    return outcome
