"""How a repair takes the place of a method of moto's."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any


def around(owner: type, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a function around a method: it is called with the method itself first, then with the method's arguments."""
    original = getattr(owner, name)

    def install(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def replacement(*arguments: Any, **named: Any) -> Any:
            return function(original, *arguments, **named)

        setattr(owner, name, replacement)
        return function

    return install


def add(owner: type, *functions: Callable[..., Any]) -> None:
    """Give a class methods that it lacks, or others in the place of those that it has."""
    for function in functions:
        setattr(owner, function.__name__, function)
