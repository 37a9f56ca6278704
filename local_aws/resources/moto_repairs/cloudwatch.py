"""CloudWatch: composite alarms, the state of alarms that nothing feeds, and the tags of dashboards.

moto 5.2.5 keeps composite alarms, but makes them only as a by-product of PutMetricAlarm; PutCompositeAlarm is unknown to it. And it
calls a new alarm OK, and one that is put again, where AWS has INSUFFICIENT_DATA until a datapoint came and leaves the state alone:
a fleet that sends no metrics would look healthy. And it refuses tags on dashboards, which take them since 2025.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore import xform_name
from moto.cloudwatch.models import Alarm, CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import EmptyResult

from local_aws.resources.moto_repairs.patching import add, around

_SUPPRESSOR = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
_STATE = ("state_reason", "state_reason_data", "state_value", "state_updated_timestamp", "history")


def put_composite_alarm(self: CloudWatchResponse) -> EmptyResult:
    """Keep a composite alarm where moto's own reading finds it."""
    self.put_metric_alarm()
    alarm = self.cloudwatch_backend.alarms[self._get_param("AlarmName")]
    for name in _SUPPRESSOR:
        setattr(alarm, xform_name(name), self._get_param(name))
    return EmptyResult()


def apply() -> None:
    """Add the operation and mend the states."""
    add(CloudWatchResponse, put_composite_alarm)

    @around(Alarm, "__init__")
    def without_data(original: Callable[..., None], alarm: Alarm, *arguments: Any, **named: Any) -> None:
        original(alarm, *arguments, **named)
        alarm.state_value = "INSUFFICIENT_DATA"

    @around(CloudWatchBackend, "put_metric_alarm")
    def with_its_state(
        original: Callable[..., Alarm], backend: CloudWatchBackend, *arguments: Any, **named: Any
    ) -> Alarm:
        before = backend.alarms.get(named["name"])
        alarm = original(backend, *arguments, **named)
        for name in _STATE if before else ():
            setattr(alarm, name, getattr(before, name))
        return alarm

    @around(CloudWatchBackend, "tag_resource")
    def dashboards_too(
        original: Callable[..., None], backend: CloudWatchBackend, arn: str, tags: dict[str, str]
    ) -> None:
        if any(dashboard.arn == arn for dashboard in backend.dashboards.values()):
            backend.tagger.tag_resource(arn, backend.tagger.convert_dict_to_tags_input(tags))
        else:
            original(backend, arn, tags)
