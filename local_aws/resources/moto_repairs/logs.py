"""CloudWatch Logs: a filter that is put again replaces itself, and the key of a group can be changed.

moto 5.2.5 adds a second metric filter of the same name behind the first, and has no AssociateKmsKey and DisassociateKmsKey.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.metric_filters import MetricFilters
from moto.logs.models import LogGroup
from moto.logs.responses import LogsResponse

from local_aws.resources.moto_repairs.patching import add, around


def _group(response: LogsResponse) -> LogGroup:
    try:
        return response.logs_backend.groups[response._get_param("logGroupName")]  # noqa: SLF001 - moto's way to parameters
    except KeyError:
        raise ResourceNotFoundException from None


def associate_kms_key(self: LogsResponse) -> str:
    """AssociateKmsKey."""
    _group(self).kms_key_id = self._get_param("kmsKeyId")
    return ""


def disassociate_kms_key(self: LogsResponse) -> str:
    """DisassociateKmsKey."""
    _group(self).kms_key_id = None
    return ""


def apply() -> None:
    """Add the operations and mend the filters."""
    add(LogsResponse, associate_kms_key, disassociate_kms_key)

    @around(MetricFilters, "add_filter")
    def add_filter(
        original: Callable[..., None], filters: MetricFilters, name: str, pattern: str, group: str, transformations: Any
    ) -> None:
        filters.delete_filter(name, group)
        original(filters, name, pattern, group, transformations)
