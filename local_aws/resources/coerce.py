"""From CloudFormation's properties to the arguments of a boto3 operation, along botocore's input shapes.

The two speak of the same things with other capitals, other number types and two forms of tags. What has no place in the
operation's input is an error that names type and property: a property that is dropped in silence makes a deployment lie.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from local_aws.errors import LocalAwsError

_WHOLE_NUMBER = re.compile(r"-?\d+(\.0+)?")


class PropertyNotCarriedError(LocalAwsError):
    """A property, a member inside of one, or the change of one, has no place in any operation that the type calls."""

    def __init__(self, type_name: str, path: str, reason: str) -> None:
        self.type_name = type_name
        self.path = path
        super().__init__(f"{type_name}: the local AWS does not carry the property {path} ({reason})")


class PropertyValueError(LocalAwsError):
    """A property has a value that the operation's argument cannot hold."""

    def __init__(self, type_name: str, path: str, value: Any, wanted: str) -> None:
        super().__init__(f"{type_name}: property {path}: {value!r} is no {wanted}")


def input_members(client: Any, operation: str) -> Mapping[str, Any]:
    """Return the arguments of a boto3 method by name, as botocore shapes."""
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
    return model.input_shape.members if model.input_shape else {}


def argument_name(members: Mapping[str, Any], name: str) -> str | None:
    """Return the member that a property lands in whatever its capitals, or None."""
    if name in members:
        return name
    folded = name.casefold()
    return next((member for member in members if member.casefold() == folded), None)


class Coercion:
    """Brings values into the shape of one operation's arguments.

    Args:
        client: the boto3 client that the operation belongs to.
        operation: the method's name on the client.
        type_name: the resource type, for messages.
        renames: members inside of properties that the operation calls otherwise, by dotted path without list indices.
    """

    def __init__(
        self, client: Any, operation: str, *, type_name: str, renames: Mapping[str, str] | None = None
    ) -> None:
        self.members = input_members(client, operation)
        self._operation = operation
        self._type_name = type_name
        self._renames = renames or {}

    def argument(self, name: str, value: Any) -> tuple[str, Any]:
        """Return the argument that carries a property, by name and with its value in shape."""
        argument = argument_name(self.members, name)
        if argument is None:
            raise self._homeless(name)
        return argument, self._value(self.members[argument], value, name)

    def _value(self, shape: Any, value: Any, path: str) -> Any:
        convert: Callable[[Any, Any, str], Any] | None = getattr(self, f"_{shape.type_name}", None)
        return convert(shape, value, path) if convert else value

    def _homeless(self, path: str) -> PropertyNotCarriedError:
        return PropertyNotCarriedError(self._type_name, path, f"{self._operation} has no such argument")

    def _wrong(self, path: str, value: Any, wanted: str) -> PropertyValueError:
        return PropertyValueError(self._type_name, path, value, wanted)

    def _structure(self, shape: Any, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise self._wrong(path, value, "object")
        result = {}
        for name, member in value.items():
            if member is None:
                continue
            inner = f"{path}.{name}"
            argument = argument_name(shape.members, self._renames.get(inner, name))
            if argument is None:
                raise self._homeless(inner)
            result[argument] = self._value(shape.members[argument], member, inner)
        return result

    def _list(self, shape: Any, value: Any, path: str) -> list[Any]:
        if isinstance(value, Mapping) and {name.casefold() for name in getattr(shape.member, "members", {})} == {
            "key",
            "value",
        }:
            value = [{"Key": key, "Value": member} for key, member in value.items()]
        if isinstance(value, Mapping):
            raise self._wrong(path, value, "list")
        items = value if isinstance(value, list | tuple) else [value]
        return [self._value(shape.member, item, path) for item in items]

    def _map(self, shape: Any, value: Any, path: str) -> dict[str, Any]:
        if isinstance(value, list) and all(
            isinstance(item, Mapping) and set(item) == {"Key", "Value"} for item in value
        ):
            value = {item["Key"]: item["Value"] for item in value}
        if not isinstance(value, Mapping):
            raise self._wrong(path, value, "map")
        return {
            str(key): self._value(shape.value, member, f"{path}.{key}")
            for key, member in value.items()
            if member is not None
        }

    def _string(self, _shape: Any, value: Any, _path: str) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping | list | bool):
            return json.dumps(value)
        return str(value)

    def _integer(self, _shape: Any, value: Any, path: str) -> int:
        if not _WHOLE_NUMBER.fullmatch(str(value)):
            raise self._wrong(path, value, "whole number")
        return int(str(value).partition(".")[0])

    _long = _integer

    def _double(self, _shape: Any, value: Any, path: str) -> float:
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise self._wrong(path, value, "number") from error

    _float = _double

    def _boolean(self, _shape: Any, value: Any, path: str) -> bool:
        try:
            return truth(value)
        except ValueError as error:
            raise self._wrong(path, value, "true or false") from error

    @staticmethod
    def _blob(_shape: Any, value: Any, _path: str) -> Any:
        return value.encode() if isinstance(value, str) else value


def truth(value: Any) -> bool:
    """Return a CloudFormation boolean, which may come as text, as a boolean."""
    folded = str(value).casefold()
    if folded not in {"true", "false"}:
        raise ValueError(f"{value!r} is neither true nor false")
    return folded == "true"
