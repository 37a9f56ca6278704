"""CloudFormation's functions, evaluated."""

from __future__ import annotations

import base64
import ipaddress
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from local_aws.errors import TemplateError

_PLACEHOLDER = re.compile(r"\$\{(!?)([^{}]*)\}")
_IPV4_BITS = 32
_IPV6_BITS = 128
_FIND_IN_MAP_ARGUMENTS = 3


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that only the execution of a change set will tell.

    Args:
        certain: whether it is sure to differ from the value that stands now.
    """

    certain: bool

    def __str__(self) -> str:
        return "{{changeSet:KNOWN_AFTER_APPLY}}"


class _NoValue:
    """What `AWS::NoValue` stands for."""


NO_VALUE = _NoValue()


class Values(Protocol):
    """Where names in a template get their values from."""

    @property
    def mappings(self) -> Mapping[str, Any]:
        """The template's mappings."""

    def ref(self, name: str) -> Any:
        """Return the value of a parameter, a pseudo parameter or a resource."""

    def attribute(self, logical_id: str, name: str) -> Any:
        """Return an attribute of a resource."""

    def condition(self, name: str) -> bool:
        """Return how a condition of the template came out."""

    def imported(self, name: str) -> Any:
        """Return the value that another stack exports."""

    def zones(self, region: str) -> list[str]:
        """Return the availability zones of a region; an empty name means the stack's own."""


def resolve(written: Any, values: Values) -> Any:
    """Evaluate an expression, at any depth.

    Members and items whose value is `AWS::NoValue` are left out.

    Raises:
        TemplateError: an expression is wrong, or a name in it is unknown.
    """
    if isinstance(written, dict):
        if len(written) == 1:
            ((name, argument),) = written.items()
            if name in _FUNCTIONS:
                return _call(name, argument, values)
            if isinstance(name, str) and name.startswith("Fn::"):
                raise TemplateError(f"Template error: function {name} is not carried by the local AWS")
        members = ((key, resolve(value, values)) for key, value in written.items())
        return {key: value for key, value in members if value is not NO_VALUE}
    if isinstance(written, list):
        return [value for value in (resolve(item, values) for item in written) if value is not NO_VALUE]
    return written


def contains_unknown(value: Any) -> Unknown | None:
    """Return the most certain unknown anywhere in a value."""
    if isinstance(value, Unknown):
        return value
    children: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [unknown for unknown in map(contains_unknown, children) if unknown]
    return next((unknown for unknown in found if unknown.certain), found[0] if found else None)


def placeholders(text: str) -> list[str]:
    """Return the names that `Fn::Sub` would fill in."""
    return [name.strip() for literal, name in _PLACEHOLDER.findall(text) if not literal]


def _call(name: str, argument: Any, values: Values) -> Any:
    try:
        return _FUNCTIONS[name](argument, values)
    except TemplateError:
        raise
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise TemplateError(
            f"Template error: {name} cannot be evaluated for {json.dumps(argument, default=str)}: {error}"
        ) from error


def _known(function: Callable[[Any], Any]) -> Callable[[Any, Values], Any]:
    """Make a function of a resolved argument, which answers unknown for what is not known yet."""

    def call(argument: Any, values: Values) -> Any:
        resolved = resolve(argument, values)
        return contains_unknown(resolved) or function(resolved)

    return call


def _get_att(argument: Any, values: Values) -> Any:
    logical_id, _, name = argument.partition(".") if isinstance(argument, str) else (argument[0], ".", argument[1])
    return values.attribute(logical_id, text(resolve(name, values)))


def _join(resolved: Any) -> str:
    delimiter, items = resolved
    if not isinstance(items, list):
        raise TypeError("the second argument is not a list")
    return str(delimiter).join(text(item) for item in items)


def _sub(argument: Any, values: Values) -> Any:
    template, extra = (argument, {}) if isinstance(argument, str) else (argument[0], resolve(argument[1], values))
    unknown: list[Unknown] = []

    def fill(match: re.Match[str]) -> str:
        literal, name = match.groups()
        if literal:
            return "${" + name + "}"
        name = name.strip()
        if name in extra:
            value = extra[name]
        elif "." in name:
            value = values.attribute(*name.split(".", 1))
        else:
            value = values.ref(name)
        if found := contains_unknown(value):
            unknown.append(found)
            return ""
        return text(value)

    filled = _PLACEHOLDER.sub(fill, template)
    return contains_unknown(list(unknown)) or filled


def _select(argument: Any, values: Values) -> Any:
    index, items = resolve(argument[0], values), resolve(argument[1], values)
    if found := contains_unknown(index) or (items if isinstance(items, Unknown) else None):
        return found
    if isinstance(items, str):
        items = items.split(",")
    position = int(index)
    if not 0 <= position < len(items):
        raise TemplateError(f"Template error: Fn::Select cannot select index {position} of {len(items)} values")
    return items[position]


def _split(resolved: Any) -> list[str]:
    delimiter, source = resolved
    return str(source).split(delimiter)


def _find_in_map(argument: Any, values: Values) -> Any:
    names = [resolve(part, values) for part in argument[:_FIND_IN_MAP_ARGUMENTS]]
    if found := contains_unknown(names):
        return found
    table: Any = values.mappings
    for name in names:
        if not isinstance(table, Mapping) or text(name) not in table:
            default = argument[3] if len(argument) > _FIND_IN_MAP_ARGUMENTS else {}
            if "DefaultValue" in default:
                return resolve(default["DefaultValue"], values)
            raise TemplateError(f"Template error: Unable to get mapping for {'::'.join(text(part) for part in names)}")
        table = table[text(name)]
    return resolve(table, values)


def _cidr(resolved: Any) -> list[str]:
    block, count, *rest = resolved
    network = ipaddress.ip_network(block)
    width = _IPV4_BITS if network.version == 4 else _IPV6_BITS  # noqa: PLR2004 - IP versions are no magic
    host_bits = int(rest[0]) if rest else 8
    subnets = network.subnets(new_prefix=width - host_bits)
    found = [str(subnet) for subnet in itertools.islice(subnets, int(count))]
    if len(found) < int(count):
        raise ValueError(f"{block} has no room for {count} blocks of {host_bits} bits")
    return found


def _if(argument: Any, values: Values) -> Any:
    name, when_true, when_false = argument
    return resolve(when_true if values.condition(name) else when_false, values)


def _condition(argument: Any, values: Values) -> Any:
    # With anything but a name, `Condition` is an ordinary key, as in the statement of a policy.
    return values.condition(argument) if isinstance(argument, str) else {"Condition": resolve(argument, values)}


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in {"true", "false"}:
        return bool(value == "true")
    raise TypeError(f"{value!r} is no condition")


def _length(resolved: Any) -> int:
    if not isinstance(resolved, list | dict):
        raise TypeError("the argument is not a list")
    return len(resolved)


def _transform(argument: Any, _values: Values) -> Any:
    name = argument.get("Name") if isinstance(argument, dict) else argument
    raise TemplateError(f"Transform {name} (Fn::Transform) is not carried by the local AWS")


def text(value: Any) -> str:
    """Return a scalar as CloudFormation writes it into a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        raise TemplateError(f"Template error: expected a string and got {json.dumps(value, default=str)}")
    return str(value)


def _equals(resolved: Any) -> bool:
    left, right = resolved
    if isinstance(left, dict | list) or isinstance(right, dict | list):
        return bool(left == right)
    return text(left) == text(right)


_FUNCTIONS: dict[str, Callable[[Any, Values], Any]] = {
    "Condition": _condition,
    "Fn::And": _known(lambda conditions: all(_boolean(condition) for condition in conditions)),
    "Fn::Base64": _known(lambda value: base64.b64encode(text(value).encode()).decode()),
    "Fn::Cidr": _known(_cidr),
    "Fn::Contains": _known(lambda pair: text(pair[1]) in map(text, pair[0])),
    "Fn::EachMemberEquals": _known(lambda pair: all(text(item) == text(pair[1]) for item in pair[0])),
    "Fn::EachMemberIn": _known(lambda pair: {*map(text, pair[0])} <= {*map(text, pair[1])}),
    "Fn::Equals": _known(_equals),
    "Fn::FindInMap": _find_in_map,
    "Fn::GetAZs": lambda argument, values: values.zones(text(resolve(argument, values))),
    "Fn::GetAtt": _get_att,
    "Fn::If": _if,
    "Fn::ImportValue": lambda argument, values: values.imported(text(resolve(argument, values))),
    "Fn::Join": _known(_join),
    "Fn::Length": _known(_length),
    "Fn::Not": _known(lambda conditions: not _boolean(conditions[0])),
    "Fn::Or": _known(lambda conditions: any(_boolean(condition) for condition in conditions)),
    "Fn::Select": _select,
    "Fn::Split": _known(_split),
    "Fn::Sub": _sub,
    "Fn::ToJsonString": _known(lambda value: json.dumps(value, separators=(",", ":"))),
    "Fn::Transform": _transform,
    "Ref": lambda argument, values: values.ref(argument),
}
