"""JSON Schemas of protobuf messages, as protobuf's JSON mapping writes and reads them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor

from proto.comments import comments

Schema = dict[str, Any]
_REFERENCE = "#/components/schemas/"
_OPTIONAL = "Optional: "
_ROOT = "gaming."
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time", "examples": ["2026-01-31T12:00:00Z"]},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d{1,12}(\.\d{1,9})?s$", "examples": ["1.5s"]},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {"description": "Any JSON."},
    "google.protobuf.Any": {"type": "object", "properties": {"@type": {"type": "string"}}},
}
_NUMBER: Schema = {"type": "number"}
_SCALARS: Mapping[int, Schema] = {
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    # More than a number of JSON surely holds.
    FieldDescriptor.CPPTYPE_INT64: {"type": "string", "format": "int64", "pattern": r"^-?\d{1,18}$"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "string", "format": "uint64", "pattern": r"^\d{1,18}$"},
    FieldDescriptor.CPPTYPE_FLOAT: _NUMBER,
    FieldDescriptor.CPPTYPE_DOUBLE: _NUMBER,
}


class Schemas:
    """Collects the schemas of all messages that are referred to, with what the `.proto` files say of them."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def reference(self, kind: Descriptor | EnumDescriptor) -> Schema:
        """Return a reference to a message or an enum, and see that it leads somewhere."""
        name = _component(kind.full_name)
        if name not in self.components:
            self.components[name] = {}  # messages may hold themselves
            is_enum = isinstance(kind, EnumDescriptor)
            self.components[name] = (
                self._enum(cast("EnumDescriptor", kind)) if is_enum else self.message(cast("Descriptor", kind))
            )
        return {"$ref": f"{_REFERENCE}{name}"}

    def message(self, kind: Descriptor, without: Collection[str] = ()) -> Schema:
        """Return the schema of a message, without some of its fields."""
        schema: Schema = {
            "type": "object",
            "properties": {field.json_name: self.field(field) for field in kind.fields if field.name not in without},
            "additionalProperties": False,
        }
        told = [_said(kind)]
        # In words: as a schema it would have to say that a null is no value.
        told += [f"At most one of {', '.join(f.json_name for f in group.fields)}." for group in _exclusive(kind)]
        if any(told):
            schema["description"] = " ".join(filter(None, told))
        return schema

    def field(self, field: FieldDescriptor) -> Schema:
        """Return the schema of a field's value, with what is said of it."""
        schema = self._value(field)
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            schema = {"type": "object", "additionalProperties": self._value(message.fields_by_name["value"])}
        elif field.is_repeated:
            schema = {"type": "array", "items": schema}
        text = self.comment(field)
        return {**schema, "description": text} if text else schema

    def comment(self, field: FieldDescriptor) -> str:
        """Return what is said of a field."""
        return _said(field)

    def is_required(self, field: FieldDescriptor) -> bool:
        """Tell whether a request must have a field: so it is unless its comment says otherwise (proto/gaming/common)."""
        text = self.comment(field)
        return bool(text) and not text.startswith(_OPTIONAL) and field.containing_oneof is None

    def _value(self, field: FieldDescriptor) -> Schema:
        if field.message_type is not None:
            name = field.message_type.full_name
            if field.message_type.GetOptions().map_entry:
                return {}
            return dict(_WELL_KNOWN[name]) if name in _WELL_KNOWN else self.reference(field.message_type)
        if field.enum_type is not None:
            return self.reference(field.enum_type)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "contentEncoding": "base64", "pattern": _BASE64}
        return dict(_SCALARS[field.cpp_type])

    def _enum(self, kind: EnumDescriptor) -> Schema:
        values = {value.name: _said(kind, value.name) for value in kind.values}
        lines = [
            _said(kind),
            *(f"- `{name}`: {text}" for name, text in values.items() if text),
        ]
        told = "\n".join(filter(None, lines))
        return {
            "type": "string",
            "enum": [value.name for value in kind.values],
            **({"description": told} if told else {}),
        }


def _said(kind: Descriptor | EnumDescriptor | FieldDescriptor, value: str = "") -> str:
    """Return what the `.proto` file says of something, or of one value of an enum; nothing of what is not ours."""
    # The stubs know no file of a field.
    within = kind.containing_type if isinstance(kind, FieldDescriptor) else kind
    file = cast("Descriptor", within).file
    return comments(file.name).get(f"{kind.full_name}.{value}" if value else kind.full_name, "")


def _exclusive(kind: Descriptor) -> list[OneofDescriptor]:
    return [group for group in kind.oneofs if len(group.fields) > 1]


def _component(full_name: str) -> str:
    """Return a name that OpenAPI takes, and that no other message has: `game.v1.Quest`."""
    return full_name.removeprefix(_ROOT)
