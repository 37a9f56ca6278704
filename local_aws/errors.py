"""What can go wrong in the local AWS.

LocalAwsError
├── RequestRefusedError         a request that CloudFormation answers with an error; carries its code
│   └── TemplateError           a template, or the parameters for it, that cannot be used
│       └── UnsupportedTypeError    a resource type that the engine does not carry
├── ResourceFailedError         one step of a stack operation went wrong
└── StateError                  a state directory that cannot be used
"""

from __future__ import annotations


class LocalAwsError(Exception):
    """Base of all errors of the local AWS."""


class RequestRefusedError(LocalAwsError):
    """A request that is answered with an error.

    Args:
        message: what the caller reads.
        code: the error code of the CloudFormation API.
    """

    def __init__(self, message: str, code: str = "ValidationError") -> None:
        super().__init__(message)
        self.code = code


class TemplateError(RequestRefusedError):
    """A template, or the parameters given for it, cannot be used."""


class UnsupportedTypeError(TemplateError):
    """A template names a resource type that the engine does not carry."""

    def __init__(self, resource_type: str) -> None:
        super().__init__(f"resource type {resource_type} is not carried by the local AWS")
        self.resource_type = resource_type


class ResourceFailedError(LocalAwsError):
    """A resource could not be made, changed or removed; the message is the reason that the stack's events show."""


class StateError(LocalAwsError):
    """The state directory is in use by another server, or holds a file that cannot be read."""
