"""CloudWatch: metrics that are bounded, alarms with a history that act, composite alarms, and the tags of dashboards.

moto 5.2.5 keeps every datapoint for ever, as an object for each time a value came, and takes those of metrics with more dimensions
for the one that is asked for. SetAlarmState changes a word and does nothing more, and there is no DescribeAlarmHistory. It keeps
composite alarms, but makes them only as a by-product of PutMetricAlarm; PutCompositeAlarm is unknown to it. It calls a new alarm OK,
and one that is put again, where AWS has INSUFFICIENT_DATA until a datapoint came and leaves the state alone: a fleet that sends no
metrics would look healthy. And it refuses tags on dashboards, which take them since 2025.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore import xform_name
from moto.cloudwatch.models import Alarm, CloudWatchBackend, Dimension, MetricAggregatedDatum, MetricDatumBase
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from local_aws.resources.moto_repairs.patching import add, around
from local_aws.watch import alarm_states
from local_aws.watch.measuring import samples_of
from local_aws.watch.samples import Metric, Sample

_SUPPRESSOR = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
_STATE = (
    "state_reason",
    "state_reason_data",
    "state_value",
    "state_updated_timestamp",
    "state_transitioned_timestamp",
    "history",
)
_MOST_RECORDS = 100


def put_composite_alarm(self: CloudWatchResponse) -> EmptyResult:
    """Keep a composite alarm where moto's own reading finds it."""
    self.put_metric_alarm()
    alarm = self.cloudwatch_backend.alarms[self._get_param("AlarmName")]
    for name in _SUPPRESSOR:
        setattr(alarm, xform_name(name), self._get_param(name))
    return EmptyResult()


def describe_alarm_history(self: CloudWatchResponse) -> ActionResult:
    """DescribeAlarmHistory: the newest first, unless asked otherwise."""
    name, kind = self._get_param("AlarmName"), self._get_param("HistoryItemType")
    types = self._get_param("AlarmTypes") or ["MetricAlarm"]
    start, end = self._get_param("StartDate"), self._get_param("EndDate")
    found = [
        item
        for alarm in list(self.cloudwatch_backend.alarms.values())
        if name in {None, alarm.name}
        for item in list(alarm.history)
        if kind in {None, item["HistoryItemType"]}
        and item["AlarmType"] in types
        and (start is None or _aware(start) <= item["Timestamp"])
        and (end is None or item["Timestamp"] <= _aware(end))
    ]
    # An action's record has the time of the change that it follows from, and comes after it.
    found = [item for _, item in sorted(enumerate(found), key=lambda each: (each[1]["Timestamp"], each[0]))]
    if self._get_param("ScanBy", "TimestampDescending") == "TimestampDescending":
        found.reverse()
    first, most = int(self._get_param("NextToken") or 0), int(self._get_param("MaxRecords") or _MOST_RECORDS)
    token = str(first + most) if len(found) > first + most else None
    return ActionResult({"AlarmHistoryItems": found[first : first + most], "NextToken": token})


def put_metric_data(self: CloudWatchBackend, namespace: str, metric_data: list[dict[str, Any]]) -> None:
    """Keep what comes, as one sample for each datum, however often its values came."""
    for index, datum in enumerate(metric_data):
        self._validate_parameters_put_metric_data(datum, index + 1)
    for datum in metric_data:
        dimensions = {one["Name"]: one["Value"] for one in datum.get("Dimensions", ())}
        samples_of(self).add(Metric.of(namespace, datum["MetricName"], dimensions), _sample(datum))


def _sample(datum: Mapping[str, Any]) -> Sample:
    at = _aware(datum["Timestamp"]).timestamp() if datum.get("Timestamp") else time.time()
    unit = datum.get("Unit") or "None"
    if told := datum.get("StatisticValues"):
        count, total, least, most = (float(told[name]) for name in ("SampleCount", "Sum", "Minimum", "Maximum"))
        return Sample(at, count, total, least, most, unit)
    if values := [float(value) for value in datum.get("Values") or ()]:
        counts = [float(count) for count in datum.get("Counts") or [1] * len(values)]
        total = sum(value * count for value, count in zip(values, counts, strict=True))
        return Sample(at, sum(counts), total, min(values), max(values), unit)
    return Sample.value(at, float(datum.get("Value", 0)), unit)


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


class _Asked(threading.local):
    """The one metric that this thread is asked for."""

    metric: Metric | None = None


_asked = _Asked()


def get_all_metrics(self: CloudWatchBackend) -> list[MetricDatumBase]:
    """Return the samples as moto's datapoints, which its own reading goes through."""
    samples = samples_of(self)
    if _asked.metric:
        ours = _as_moto(_asked.metric, samples.between(_asked.metric, 0.0, math.inf))
    else:
        ours = [datum for metric, found in samples.all() for datum in _as_moto(metric, found)]
    return [*ours, *self.aws_metric_data]


def _as_moto(metric: Metric, samples: list[Sample]) -> list[MetricDatumBase]:
    made: list[MetricDatumBase] = []
    dimensions = [Dimension(name, value) for name, value in metric.dimensions]
    for sample in samples:
        at = datetime.fromtimestamp(sample.at, UTC).replace(tzinfo=None)
        unit = None if sample.unit == "None" else sample.unit
        datum = MetricAggregatedDatum(
            metric.namespace, metric.name, sample.least, sample.most, sample.number, sample.total, [], at, unit
        )
        datum.dimensions = dimensions
        made.append(datum)
    return made


def get_filtered_metrics(
    self: CloudWatchBackend, metric_name: str, namespace: str, dimensions: list[dict[str, str]]
) -> list[MetricDatumBase]:
    """Return one datapoint of each metric that is asked for: moto compares each with all others."""
    each = [datum for metric, samples in samples_of(self).all() for datum in _as_moto(metric, samples[-1:])]
    return [datum for datum in (*each, *self.aws_metric_data) if datum.filter(namespace, metric_name, dimensions)]


def update_state(self: Alarm, reason: str, reason_data: str, state_value: str) -> None:
    """SetAlarmState, which acts as every other change of state does."""
    alarm_states.change(self, state_value, reason, reason_data, time.time())  # type: ignore[arg-type]  # moto has looked


def apply() -> None:
    """Add the operations and mend the states."""
    add(CloudWatchResponse, put_composite_alarm, describe_alarm_history)
    add(CloudWatchBackend, put_metric_data, get_all_metrics, get_filtered_metrics)
    add(Alarm, update_state)

    @around(Alarm, "__init__")
    def without_data(original: Callable[..., None], alarm: Alarm, *arguments: Any, **named: Any) -> None:
        original(alarm, *arguments, **named)
        alarm.state_value = "INSUFFICIENT_DATA"
        alarm.state_transitioned_timestamp = alarm.state_updated_timestamp  # type: ignore[attr-defined]  # DescribeAlarms looks for it

    @around(CloudWatchBackend, "put_metric_alarm")
    def with_its_state(
        original: Callable[..., Alarm], backend: CloudWatchBackend, *arguments: Any, **named: Any
    ) -> Alarm:
        before = backend.alarms.get(named["name"])
        alarm = original(backend, *arguments, **named)
        for name in _STATE if before else ():
            setattr(alarm, name, getattr(before, name))
        done = "updated" if before else "created"
        data = {"version": "1.0", "type": "Update" if before else "Create"}
        alarm_states.record(alarm, time.time(), "ConfigurationUpdate", f'Alarm "{alarm.name}" {done}', data)
        return alarm

    @around(CloudWatchBackend, "get_metric_statistics")
    def of_the_very_dimensions(
        original: Callable[..., Any],
        backend: CloudWatchBackend,
        namespace: str,
        metric_name: str,
        *arguments: Any,
        dimensions: list[dict[str, str]],
        **named: Any,
    ) -> Any:
        _asked.metric = Metric.of(namespace, metric_name, {one["Name"]: one["Value"] for one in dimensions})
        try:
            return original(backend, namespace, metric_name, *arguments, dimensions=dimensions, **named)
        finally:
            _asked.metric = None

    @around(CloudWatchBackend, "tag_resource")
    def dashboards_too(
        original: Callable[..., None], backend: CloudWatchBackend, arn: str, tags: dict[str, str]
    ) -> None:
        if any(dashboard.arn == arn for dashboard in backend.dashboards.values()):
            backend.tagger.tag_resource(arn, backend.tagger.convert_dict_to_tags_input(tags))
        else:
            original(backend, arn, tags)
