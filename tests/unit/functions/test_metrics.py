"""Metrics by way of the log."""

from __future__ import annotations

import json

import pytest

from functions.metrics import MAX_METRICS, print_metrics


def test_a_line_says_metrics_namespace_and_two_dimensions(capsys: pytest.CaptureFixture[str]) -> None:
    print_metrics(environment="test", service="certificates", metrics={"root_days_left": 12.5}, now=lambda: 1.5)

    assert json.loads(capsys.readouterr().out) == {
        "_aws": {
            "Timestamp": 1500,
            "CloudWatchMetrics": [
                {
                    "Namespace": "GamingSystem",
                    "Dimensions": [["Environment", "Service"]],
                    "Metrics": [{"Name": "root_days_left"}],
                }
            ],
        },
        "Environment": "test",
        "Service": "certificates",
        "root_days_left": 12.5,
    }


def test_it_is_one_line_since_cloudwatch_reads_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_metrics(environment="test", service="s", metrics={str(number): number for number in range(MAX_METRICS)})

    assert len(capsys.readouterr().out.splitlines()) == 1


def test_more_than_a_service_may_have_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="s: 7 metrics, at most 6"):
        print_metrics(environment="test", service="s", metrics={str(number): number for number in range(7)})

    assert not capsys.readouterr().out
