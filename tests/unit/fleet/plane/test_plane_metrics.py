"""What is reported of services, and when."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.local.plane.metrics import ECS, INSIGHTS, ServiceUse, TaskMetrics, TaskUse, put

NOON = 1764158400.0


def task(name: str = "1", cpu_seconds: float = 0.0, memory_mib: float = 128) -> TaskUse:
    return TaskUse(name, cpu_seconds, int(memory_mib * 2**20), cpu_units=256, memory_mib=512)


def service(*tasks: TaskUse, name: str = "ai") -> ServiceUse:
    return ServiceUse("gaming-system-local", name, tasks)


def values(data: dict[str, list[dict[str, Any]]]) -> dict[str, list[float]]:
    return {datum["MetricName"]: datum["Values"] for found in data.values() for datum in found}


def test_a_minute_is_reported_once_in_its_middle() -> None:
    metrics = TaskMetrics()
    assert metrics.due([service(task())], NOON + 31, 60.0), "at first, what there is"
    reported = [second for second in range(32, 300) if metrics.due([service(task())], NOON + second, 60.0)]
    assert reported == [90, 150, 210, 270]


def test_a_change_of_the_number_of_tasks_is_told_alone_and_even_when_it_is_over() -> None:
    metrics = TaskMetrics()
    services = [service(task("1"), task("2")), service(task("3"), name="quest")]
    for one in services:
        metrics.count(one.cluster, one.name, len(one.tasks), NOON)
    metrics.due(services, NOON, 60.0)
    for second, number in ((1, 1), (2, 1), (3, 2)):
        metrics.count("gaming-system-local", "ai", number, NOON + second)
    dip = metrics.due(services, NOON + 4, 60.0)
    assert list(dip) == [INSIGHTS]
    assert dip[INSIGHTS][0] == {
        "MetricName": "RunningTaskCount",
        "Dimensions": [
            {"Name": "ClusterName", "Value": "gaming-system-local"},
            {"Name": "ServiceName", "Value": "ai"},
        ],
        "Timestamp": NOON + 1,
        "Unit": "Count",
        "Values": [1.0],
    }
    assert [(datum["Timestamp"] - NOON, datum["Values"]) for datum in dip[INSIGHTS]] == [(1, [1.0]), (3, [2.0])]
    assert metrics.due(services, NOON + 5, 60.0) == {}


def test_a_service_without_a_task_has_a_count_and_nothing_else() -> None:
    assert values(TaskMetrics().due([service()], NOON, 60.0)) == {"RunningTaskCount": [0.0]}


def test_processor_time_is_told_in_percent_of_what_the_task_may_use() -> None:
    metrics = TaskMetrics()
    metrics.due([service(task("1"), task("2", 100.0))], NOON, 60.0)
    data = metrics.due([service(task("1", 15.0), task("2", 107.5), task("3", 9.0))], NOON + 60, 60.0)
    assert values(data)["CPUUtilization"] == [100.0, 50.0], "a quarter of a CPU for a minute is fifteen seconds"


def test_memory_is_told_in_percent_of_the_limit_a_value_for_each_task() -> None:
    data = TaskMetrics().due([service(task("1", memory_mib=128), task("2", memory_mib=512))], NOON, 60.0)
    assert values(data)["MemoryUtilization"] == [25.0, 100.0]
    assert [datum["MetricName"] for datum in data[ECS]] == ["MemoryUtilization"], (
        "of processor time nothing is known yet"
    )


@pytest.mark.parametrize(("number", "requests"), [(1, 1), (500, 1), (501, 2)])
def test_a_request_takes_so_many(number: int, requests: int) -> None:
    class CloudWatch:
        calls: list[int]

        def put_metric_data(self, **request: Any) -> None:
            self.calls.append(len(request["MetricData"]))

    cloudwatch = CloudWatch()
    cloudwatch.calls = []
    put(cloudwatch, {ECS: [{}] * number})  # type: ignore[arg-type]  # as much of it as is called
    assert (len(cloudwatch.calls), sum(cloudwatch.calls)) == (requests, number)
