"""The alarms: three a service, each of which says what is wrong, whom it tells, and where to read on."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalog import load_environment
from local_aws.watch.evaluation import Datapoint, Rule, decide
from tests.synthesis import ROOT, Fleet, Resource, changed, small_fleet, synthesise, whole_catalog
from tls.profiles import Lifetimes
from tls.renewal import renewal_moment

ALARM = "AWS::CloudWatch::Alarm"
KINDS = ("cpu-high", "memory-high", "tasks-low")


def service_alarms(fleet: Fleet) -> dict[str, dict[str, Resource]]:
    """Return the alarms of each service by kind, found by their tags and not by their names."""
    found: dict[str, dict[str, Resource]] = {service.name: {} for service in fleet.catalog.enabled}
    for alarm in fleet.resources(ALARM):
        if service := alarm.tags.get("service"):
            name = alarm["AlarmName"].removeprefix(f"{service}-").removesuffix(f"-{fleet.environment.name}")
            found[service][name] = alarm
    return found


def all_alarms(fleet: Fleet) -> list[Resource]:
    alarms = fleet.resources(ALARM)
    assert alarms
    return alarms


def test_every_enabled_service_has_its_three_alarms(fleet: Fleet) -> None:
    kinds = {service: tuple(alarms) for service, alarms in service_alarms(fleet).items()}
    assert kinds == {service.name: KINDS for service in fleet.catalog.enabled}


def test_production_has_66_service_alarms(prod: Fleet) -> None:
    names = [alarm["AlarmName"] for alarm in all_alarms(prod)]
    assert len([name for name in names if not name.startswith("platform-")]) == 66


def test_turning_the_language_system_on_is_one_line_and_gives_three_alarms_more() -> None:
    catalog = changed(whole_catalog(), "language-system-nats", enabled=True)
    fleet = synthesise(catalog, load_environment("prod"))
    assert len(fleet.resources("AWS::ECS::Service")) == 23
    assert len([a for a in all_alarms(fleet) if not a["AlarmName"].startswith("platform-")]) == 69


def test_a_services_name_as_prefix_lists_its_three_alarms_and_no_other(fleet: Fleet) -> None:
    names = [alarm["AlarmName"] for alarm in all_alarms(fleet)]
    for service in fleet.catalog.services.values():
        expected = [f"{service.name}-{kind}-{fleet.environment.name}" for kind in KINDS] if service.enabled else []
        assert sorted(name for name in names if name.startswith(service.name)) == expected


def test_alarms_of_the_platform_say_so_at_the_beginning_of_their_names(fleet: Fleet) -> None:
    for alarm in all_alarms(fleet):
        assert alarm["AlarmName"].startswith("platform-") == ("service" not in alarm.tags)


def test_no_two_alarms_have_the_same_name(fleet: Fleet) -> None:
    assert Counter(alarm["AlarmName"] for alarm in all_alarms(fleet)).most_common(1)[0][1] == 1


def test_an_alarm_watches_the_service_itself_and_not_a_name(fleet: Fleet) -> None:
    services = fleet.of_service("AWS::ECS::Service")
    cluster = fleet.one("AWS::ECS::Cluster").logical_id
    for name, alarms in service_alarms(fleet).items():
        service = services[name]
        for alarm in alarms.values():
            dimensions = {d["Name"]: fleet.text(alarm.part, d["Value"]) for d in alarm["Dimensions"]}
            assert dimensions == {
                "ClusterName": f"${{network:{cluster}}}",
                "ServiceName": f"${{{service.part}:{service.logical_id}.Name}}",
            }


CPU = {"Namespace": "AWS/ECS", "MetricName": "CPUUtilization", "Statistic": "Average", "Period": 60}
MEMORY = {**CPU, "MetricName": "MemoryUtilization"}
COUNTED = {
    "Namespace": "ECS/ContainerInsights",
    "MetricName": "RunningTaskCount",
    "Statistic": "Minimum",
    "Period": 60,
}
SAMPLED = {**CPU, "Statistic": "SampleCount"}


@pytest.mark.parametrize(
    ("environment", "kind", "metric"),
    [
        ("prod", "cpu-high", CPU),
        ("prod", "memory-high", MEMORY),
        ("prod", "tasks-low", COUNTED),
        ("local", "tasks-low", COUNTED),
        ("staging", "tasks-low", SAMPLED),
        ("dev", "cpu-high", CPU),
        ("dev", "memory-high", MEMORY),
        ("dev", "tasks-low", SAMPLED),
    ],
)
def test_the_metric_is_one_that_the_environment_pays_for(environment: str, kind: str, metric: dict[str, Any]) -> None:
    alarm = service_alarms(small_fleet(environment))["world-state-nats"][kind]
    assert {name: alarm[name] for name in metric} == metric


def test_the_cluster_reports_its_tasks_where_the_alarm_counts_them(fleet: Fleet) -> None:
    counted = {alarms["tasks-low"]["Namespace"] == "ECS/ContainerInsights" for alarms in service_alarms(fleet).values()}
    (setting,) = fleet.one("AWS::ECS::Cluster")["ClusterSettings"]
    assert counted == {setting["Value"] == "enabled"}


@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        ("cpu-high", ("GreaterThanThreshold", 80, 5, 3)),
        ("memory-high", ("GreaterThanThreshold", 80, 5, 3)),
        ("tasks-low", ("LessThanThreshold", 2, 3, 3)),
    ],
)
def test_an_alarm_goes_off_where_the_order_says(small: Fleet, kind: str, condition: tuple[str, int, int, int]) -> None:
    alarm = service_alarms(small)["world-state-nats"][kind]
    names = ("ComparisonOperator", "Threshold", "EvaluationPeriods", "DatapointsToAlarm")
    assert tuple(alarm[name] for name in names) == condition


@pytest.mark.parametrize(
    ("kind", "condition"),
    [("cpu-high", (70, 300, 4, 2)), ("memory-high", (90, 60, 5, 3)), ("tasks-low", (3, 60, 5, 4))],
)
def test_an_entry_may_say_when_its_alarms_go_off(small: Fleet, kind: str, condition: tuple[int, ...]) -> None:
    alarm = service_alarms(small)["state-manager-nats"][kind]
    assert tuple(alarm[name] for name in ("Threshold", "Period", "EvaluationPeriods", "DatapointsToAlarm")) == condition


@pytest.mark.parametrize(
    ("kind", "missing"), [("cpu-high", "missing"), ("memory-high", "missing"), ("tasks-low", "breaching")]
)
def test_silence_is_an_alarm_for_the_number_of_tasks_alone(fleet: Fleet, kind: str, missing: str) -> None:
    assert {alarms[kind]["TreatMissingData"] for alarms in service_alarms(fleet).values()} == {missing}


def test_every_service_alarm_tells_the_alerts_topic_of_trouble_and_of_its_end(fleet: Fleet) -> None:
    suffix = "" if fleet.environment.name == "prod" else f"-{fleet.environment.name}"
    topic = fleet.one("AWS::SNS::Topic", TopicName=f"gaming-system-alerts{suffix}")
    for alarms in service_alarms(fleet).values():
        for alarm in alarms.values():
            told = [fleet.plain(alarm.part, alarm[name]) for name in ("AlarmActions", "OKActions")]
            assert told == [[f"${{monitoring:{topic.logical_id}}}"]] * 2


def test_the_alarm_about_the_topic_tells_another_topic(fleet: Fleet) -> None:
    alarm = fleet.one(ALARM, AlarmName=f"platform-alerts-undelivered-{fleet.environment.name}")
    suffix = "" if fleet.environment.name == "prod" else f"-{fleet.environment.name}"
    names = [fleet.followed(alarm.part, action)["TopicName"] for action in alarm["AlarmActions"] + alarm["OKActions"]]
    assert names == [f"gaming-system-alerts-fallback{suffix}"] * 2


def test_the_alarm_about_the_topic_watches_the_alerts_topic(fleet: Fleet) -> None:
    alarm = fleet.one(ALARM, AlarmName=f"platform-alerts-undelivered-{fleet.environment.name}")
    (dimension,) = alarm["Dimensions"]
    suffix = "" if fleet.environment.name == "prod" else f"-{fleet.environment.name}"
    assert alarm["MetricName"] == "NumberOfNotificationsFailed"
    assert fleet.followed(alarm.part, dimension["Value"])["TopicName"] == f"gaming-system-alerts{suffix}"


@pytest.mark.parametrize("function", ["nats", "certificates"])
def test_a_function_that_fails_on_its_schedule_is_told_of(fleet: Fleet, function: str) -> None:
    """A `retire` or a renewal that ends with an error changes nothing that anybody else would notice for days."""
    alarm = fleet.one(ALARM, AlarmName=f"platform-{function}-function-failed-{fleet.environment.name}")
    (dimension,) = alarm["Dimensions"]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("AWS/Lambda", "Errors", "Sum")
    assert dimension["Name"] == "FunctionName"
    assert fleet.one("AWS::Lambda::Function", FunctionName=dimension["Value"]).part == function
    # The one turn of a day, and one error of it; a function that was not called has failed in nothing.
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["Threshold"]) == (86_400, 1, 0)
    assert (alarm["ComparisonOperator"], alarm["TreatMissingData"]) == ("GreaterThanThreshold", "notBreaching")


def expiry_alarms(fleet: Fleet) -> dict[tuple[str, int], Resource]:
    """Return the alarms on days that are left, by what they measure and when they ring."""
    return {
        (alarm["MetricName"], alarm["Threshold"]): alarm
        for alarm in all_alarms(fleet)
        if alarm["MetricName"].endswith("days_left")
    }


def test_days_that_are_left_ring_at_21_and_at_7_and_of_leaves_at_7_alone(fleet: Fleet) -> None:
    """A leaf of 30 days is renewed with ten left: at 21 it would ring in every healthy month."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    end = begin + timedelta(days=Lifetimes().leaf_days)
    assert 7 < (end - renewal_moment("client/x/", begin, end)).days < 21
    authorities = {("root_days_left", 21), ("root_days_left", 7), ("issuing_days_left", 21), ("issuing_days_left", 7)}
    leaves = {("server_days_left", 7), ("route_days_left", 7), ("client_days_left", 7)}
    found = expiry_alarms(fleet)
    assert set(found) == {*authorities, *leaves, ("days_left", 7)}
    for (metric, days), alarm in found.items():
        kind = metric.removesuffix("days_left").rstrip("_") or "served"
        assert alarm["AlarmName"] == f"platform-certificates-{kind}-expires-{days}-{fleet.environment.name}"
        assert (alarm["ComparisonOperator"], alarm["Statistic"]) == ("LessThanThreshold", "Minimum")


def test_the_first_day_of_an_environment_is_no_alarm_and_days_of_silence_are(fleet: Fleet) -> None:
    """CloudWatch fills up what an alarm has too few datapoints for, so that one period must do: a new environment has one."""
    issued = fleet.one("Custom::Certificates").logical_id
    stored = {key: alarm for key, alarm in expiry_alarms(fleet).items() if key[0] != "days_left"}
    for (_, days), alarm in stored.items():
        assert issued in alarm.body["DependsOn"]
        properties = ("Period", "EvaluationPeriods", "DatapointsToAlarm", "TreatMissingData")
        rule = Rule("Minimum", "LessThanThreshold", days, *(alarm[name] for name in properties))
        for left, state in (
            ((None, None, 30.0), "OK"),
            ((None, None, None), "ALARM"),
            ((9.0, 8.0, days - 0.1), "ALARM"),
            ((8.0, days - 0.1, 30.0), "OK"),
        ):
            assert decide(rule, [Datapoint(0, each, 1) for each in left]) == state


def test_every_alarm_leads_to_a_runbook_that_exists(fleet: Fleet) -> None:
    for alarm in all_alarms(fleet):
        found = re.search(r"Runbook: (docs/runbooks/[a-z-]+\.md)$", alarm["AlarmDescription"])
        assert found, alarm["AlarmName"]
        assert (ROOT / found[1]).is_file()


def test_every_runbook_belongs_to_an_alarm(prod: Fleet) -> None:
    named = {alarm["AlarmDescription"].rpartition("/")[2] for alarm in all_alarms(prod)}
    assert {file.name for file in (ROOT / "docs" / "runbooks").glob("*.md")} == named


def test_a_service_alarm_says_what_the_service_does_and_who_is_called(small: Fleet) -> None:
    assert service_alarms(small)["state-manager-nats"]["cpu-high"]["AlarmDescription"] == (
        "CPU utilisation of state-manager-nats is above 70 %. Keeps the state of every player. "
        "Owner: identity. Runbook: docs/runbooks/cpu-high.md"
    )


def test_alarms_are_made_after_their_service_is_steady(fleet: Fleet) -> None:
    """A reference to the service in a dimension is what makes CloudFormation wait for it."""
    for alarms in service_alarms(fleet).values():
        for alarm in alarms.values():
            assert any("Fn::GetAtt" in dimension["Value"] for dimension in alarm["Dimensions"])
