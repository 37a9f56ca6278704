"""Metrics that come in log lines, and how many of them are kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local_aws.watch.embedded_metrics import metrics_in
from local_aws.watch.samples import Metric, Sample, Samples
from sdk.metrics import Metrics

AT = 1764158400.5


def line(values: dict[str, Any], **changes: Any) -> str:
    directive = {"Namespace": "N", "Dimensions": [["Service"]], "Metrics": [{"Name": "M", "Unit": "Count"}], **changes}
    return json.dumps(
        {"_aws": {"Timestamp": int(AT * 1000), "CloudWatchMetrics": [directive]}, "Service": "s", "Node": "1", **values}
    )


def only(message: str) -> Sample:
    [(metric, sample)] = metrics_in(message)
    assert metric == Metric.of("N", "M", {"Service": "s"})
    return sample


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, (1.0, 3.0, 3.0, 3.0)),
        (0.5, (1.0, 0.5, 0.5, 0.5)),
        ([1, 2, 6], (3.0, 9.0, 1.0, 6.0)),
        ({"Values": [1, 10], "Counts": [9, 1]}, (10.0, 19.0, 1.0, 10.0)),
        ({"Values": [1, 10]}, (2.0, 11.0, 1.0, 10.0)),
        ({"Count": 4, "Sum": 8, "Min": 1, "Max": 5}, (4.0, 8.0, 1.0, 5.0)),
    ],
)
def test_what_a_line_may_say_of_a_metric(value: Any, expected: tuple[float, ...]) -> None:
    found = only(line({"M": value}))
    assert (found.at, found.unit, (found.number, found.total, found.least, found.most)) == (AT, "Count", expected)


def test_every_set_of_dimensions_is_a_metric_of_its_own() -> None:
    found = metrics_in(line({"M": 1}, Dimensions=[["Service"], ["Node", "Service"], []]))
    assert [dict(metric.dimensions) for metric, _ in found] == [
        {"Service": "s"},
        {"Node": "1", "Service": "s"},
        {},
    ]


def test_without_a_unit_it_has_none() -> None:
    assert only(line({"M": 1}, Metrics=[{"Name": "M"}])).unit == "None"


def test_a_set_whose_value_is_missing_is_none() -> None:
    assert metrics_in(line({"M": 1}, Dimensions=[["Service", "Zone"]])) == []


@pytest.mark.parametrize(
    "message",
    [
        "plain words",
        '{"level": "info"}',
        '{"_aws": ',
        '{"_aws": {"Timestamp": 1}}',
        '{"_aws": {"Timestamp": "x", "CloudWatchMetrics": []}}',
        '{"_aws": 1}',
        line({}),
        line({"M": "many"}),
        line({"M": True}),
        line({"M": None}),
        line({"M": []}),
        line({"M": list(range(101))}),
        line({"M": {"Values": [1], "Counts": [1, 2]}}),
        line({"M": {"Values": [1], "Counts": [0]}}),
        line({"M": {"Sum": 1}}),
        line({"M": 1}, Metrics=[{"Unit": "Count"}]),
    ],
)
def test_a_line_that_does_not_keep_to_the_format_is_a_line_like_any_other(message: str) -> None:
    assert metrics_in(message) == []


def test_what_the_sdk_writes_is_understood() -> None:
    lines: list[str] = []
    metrics = Metrics(service="ai", environment="local", write=lines.append, now=lambda: AT)
    metrics.answered(0.010, failed=False)
    metrics.answered(0.020, failed=True)
    metrics.flush()
    found = {metric.name: (metric, sample) for metric, sample in metrics_in(lines[0])}
    metric, sample = found["RequestLatency"]
    assert metric == Metric.of("GamingSystem/Services", "RequestLatency", {"Environment": "local", "Service": "ai"})
    assert (sample.number, sample.unit, round(sample.least), round(sample.most)) == (2.0, "Milliseconds", 10, 20)
    assert (found["Requests"][1].total, found["RequestErrors"][1].total, found["Reconnects"][1].total) == (2, 1, 0)


METRIC = Metric.of("N", "M", {"b": "2", "a": "1"})


def test_dimensions_have_no_order() -> None:
    assert Metric.of("N", "M", {"a": "1", "b": "2"}) == METRIC


def test_what_is_old_is_forgotten_and_what_is_young_is_not() -> None:
    samples = Samples(keep_seconds=100)
    for at in range(0, 300, 10):
        samples.add(METRIC, Sample.value(at, 1.0))
    samples.add(Metric.of("N", "gone", {}), Sample.value(10, 1.0))
    samples.forget(now=300)
    [(metric, kept)] = samples.all()
    assert (metric, kept[0].at, len(kept)) == (METRIC, 200, 10)


def test_a_metric_that_comes_too_often_loses_its_oldest() -> None:
    samples = Samples()
    for at in range(6000):
        samples.add(METRIC, Sample.value(at, 1.0))
    [(_, kept)] = samples.all()
    assert (len(kept), kept[-1].at) == (5000, 5999)


def test_a_time_has_its_beginning_and_not_its_end() -> None:
    samples = Samples()
    for at in (9, 10, 19, 20):
        samples.add(METRIC, Sample.value(at, 1.0))
    assert [sample.at for sample in samples.between(METRIC, 10, 20)] == [10, 19]
    assert samples.between(Metric.of("N", "other", {}), 0, 100) == []
