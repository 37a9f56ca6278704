"""CloudWatch Logs: metrics in log lines, streams that are bounded, filters that replace themselves, and the key of a group.

moto 5.2.5 makes no metrics of lines in the embedded metric format, and keeps every line for ever. It adds a second metric filter of
the same name behind the first, and has no AssociateKmsKey and DisassociateKmsKey.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.metric_filters import MetricFilters
from moto.logs.models import LogGroup, LogsBackend, LogStream
from moto.logs.responses import LogsResponse

from local_aws.resources.moto_repairs.patching import add, around
from local_aws.watch.embedded_metrics import metrics_in
from local_aws.watch.measuring import measure

MOST_EVENTS = 2000  # of one stream


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

    @around(LogsBackend, "put_log_events")
    def put_log_events(
        original: Callable[..., Any], backend: LogsBackend, group: str, stream: str, events: list[dict[str, Any]]
    ) -> Any:
        answer = original(backend, group, stream, events)
        for event in events:
            for metric, sample in metrics_in(event["message"]):
                measure(backend.account_id, backend.region_name, metric, sample)
        return answer

    @around(LogStream, "put_log_events")
    def bounded(original: Callable[..., str], stream: LogStream, events: list[dict[str, Any]]) -> str:
        token = original(stream, events)
        del stream.events[:-MOST_EVENTS]
        return token
