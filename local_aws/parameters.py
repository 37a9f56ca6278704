"""Parameters of a stack: defaults, previous values, constraints, and values that SSM holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local_aws.errors import TemplateError

_SSM_VALUE = re.compile(r"AWS::SSM::Parameter::Value<(.+)>")
_LIST = re.compile(r"List<.+>|CommaDelimitedList")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_HIDDEN = "****"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a stack.

    Args:
        given: what the caller, or the default, says; for a parameter of SSM its name there.
        value: what `Ref` gives.
        from_ssm: whether the value was looked up.
        no_echo: whether the value is to be hidden.
    """

    given: str
    value: str | list[str]
    from_ssm: bool = False
    no_echo: bool = False

    def described(self, key: str) -> dict[str, Any]:
        """Return the parameter as DescribeStacks shows it."""
        shown: dict[str, Any] = {"ParameterKey": key, "ParameterValue": _HIDDEN if self.no_echo else self.given}
        if self.from_ssm:
            resolved = ",".join(self.value) if isinstance(self.value, list) else self.value
            shown["ResolvedValue"] = _HIDDEN if self.no_echo else resolved
        return shown


def settle(
    declared: Mapping[str, Mapping[str, Any]],
    given: Iterable[Mapping[str, Any]],
    previous: Mapping[str, Parameter],
    look_up: Callable[[str], str],
) -> dict[str, Parameter]:
    """Give every declared parameter its value.

    Args:
        declared: the template's parameters.
        given: the request's parameters, as the API has them.
        previous: the values that the stack has now.
        look_up: reads a parameter of SSM.

    Raises:
        TemplateError: a value is missing, not allowed, or for a parameter that the template does not have.
    """
    values: dict[str, str] = {}
    for item in given:
        key = item["ParameterKey"]
        if item.get("UsePreviousValue"):
            if item.get("ParameterValue"):
                raise TemplateError(
                    f"Invalid input for parameter key {key}. Cannot specify usePreviousValue as true and non empty value for a parameter"
                )
            if key in previous:
                values[key] = previous[key].given
            elif key in declared and "Default" not in declared[key]:
                raise TemplateError(
                    f"Invalid input for parameter key {key}. Cannot specify usePreviousValue as true for a parameter key not in the previous template"
                )
        else:
            values[key] = str(item.get("ParameterValue", ""))
    if unknown := sorted(values.keys() - declared.keys()):
        raise TemplateError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    missing = sorted(key for key, declaration in declared.items() if key not in values and "Default" not in declaration)
    if missing:
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
    return {key: _settled(key, declaration, values.get(key), look_up) for key, declaration in declared.items()}


def _settled(key: str, declaration: Mapping[str, Any], value: str | None, look_up: Callable[[str], str]) -> Parameter:
    given = _default(declaration["Default"]) if value is None else value
    kind = str(declaration.get("Type", "String"))
    _check(key, declaration, given, kind)
    from_ssm = _SSM_VALUE.fullmatch(kind)
    found = look_up(given) if from_ssm else given
    is_list = _LIST.fullmatch(from_ssm.group(1) if from_ssm else kind)
    return Parameter(
        given=given,
        value=_items(found) if is_list else found,
        from_ssm=from_ssm is not None,
        no_echo=str(declaration.get("NoEcho", False)).lower() == "true",
    )


def _default(written: Any) -> str:
    if isinstance(written, bool):
        return "true" if written else "false"
    return str(written)


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")] if text else []


def _check(key: str, declaration: Mapping[str, Any], given: str, kind: str) -> None:
    def refuse(what: str) -> TemplateError:
        return TemplateError(f"Parameter '{key}' {declaration.get('ConstraintDescription') or what}")

    items = _items(given) if _LIST.fullmatch(kind) else [given]
    allowed = [_default(value) for value in declaration.get("AllowedValues", [])]
    if allowed and not set(items) <= set(allowed):
        raise refuse(f"must be one of AllowedValues: [{', '.join(allowed)}]")
    pattern = declaration.get("AllowedPattern")
    if pattern is not None and not all(re.fullmatch(pattern, item) for item in items):
        raise refuse(f"must match pattern {pattern}")
    if kind in {"Number", "List<Number>"}:
        for item in items:
            if not _NUMBER.fullmatch(item):
                raise refuse("must be a number")
            if (
                not float(declaration.get("MinValue", "-inf"))
                <= float(item)
                <= float(declaration.get("MaxValue", "inf"))
            ):
                raise refuse(
                    f"must be a number not less than {declaration.get('MinValue', '-inf')} and not greater than {declaration.get('MaxValue', 'inf')}"
                )
    elif not float(declaration.get("MinLength", 0)) <= len(given) <= float(declaration.get("MaxLength", "inf")):
        raise refuse(
            f"must contain at least {declaration.get('MinLength', 0)} and at most {declaration.get('MaxLength', 'inf')} characters"
        )
