"""Ask the platform's own functions to do something, and tell what came of it as the command tells its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fleet.account import Account
from fleet.errors import InputError, WantingError


def ask(account: Account, function_name: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Call a function and return its answer.

    Raises:
        InputError: There is no such function: nothing is deployed.
        WantingError: It failed; with what it says.
    """
    client = account.functions
    try:
        answer = client.invoke(FunctionName=function_name, Payload=json.dumps(event).encode())
    except client.exceptions.ResourceNotFoundException as error:
        raise InputError(f"there is no function {function_name}: deploy first (make deploy)") from error
    told: dict[str, Any] = json.loads(answer["Payload"].read())
    if answer.get("FunctionError"):
        raise WantingError(f"{function_name}: {told.get('errorMessage', told)}")
    return told
