"""Types of protobuf's descriptors: those that its stubs give differ from those that it has at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import descriptor

if TYPE_CHECKING:
    from google._upb import _message

    Field = descriptor.FieldDescriptor | _message.FieldDescriptor
    Kind = descriptor.Descriptor | _message.Descriptor
    Enum = descriptor.EnumDescriptor | _message.EnumDescriptor
else:
    Field, Kind, Enum = descriptor.FieldDescriptor, descriptor.Descriptor, descriptor.EnumDescriptor
