"""A change of an alarm's state: its record, and the actions that follow from it."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import Alarm
from moto.core.exceptions import ServiceException
from moto.sns.models import sns_backends
from moto.utilities.arns import parse_arn

from local_aws.watch.alarm_message import message, published, seconds, subject
from local_aws.watch.evaluation import State

log = logging.getLogger(__name__)

MOST_HISTORY = 100  # items of one alarm; AWS keeps thirty days
_changing = threading.RLock()


def change(alarm: Alarm, state: State, reason: str, data: str | None, now: float, *, acts: bool = True) -> bool:
    """Give an alarm a state, and act where that is another one than before.

    Args:
        alarm: the alarm.
        state: the new state; the same again changes no more than the reason.
        reason: why, as a sentence.
        data: why, as JSON.
        now: seconds since 1970.
        acts: whether actions follow from it, as far as the alarm has them enabled.

    Returns:
        Whether it is another state than before.
    """
    with _changing:
        old: State = alarm.state_value  # type: ignore[assignment]  # one of CloudWatch's words
        before = _told(alarm)
        # moto's times know no zone.
        at = datetime.fromtimestamp(now, UTC).replace(tzinfo=None)
        alarm.state_value, alarm.state_reason, alarm.state_reason_data = state, reason, data or "{}"
        alarm.state_updated_timestamp = at
        if state == old:
            return False
        alarm.state_transitioned_timestamp = at  # type: ignore[attr-defined]  # DescribeAlarms looks for it
        record(
            alarm,
            now,
            "StateUpdate",
            f"Alarm updated from {old} to {state}",
            {"version": "1.0", "oldState": before, "newState": _told(alarm)},
        )
        if acts and alarm.actions_enabled:
            for action in actions(alarm, state):
                _act(alarm, action, old, now)
        return True


def actions(alarm: Alarm, state: State) -> list[str]:
    """Return what an alarm does when it gets into a state."""
    of_state = {
        "ALARM": alarm.alarm_actions,
        "OK": alarm.ok_actions,
        "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
    }
    return of_state[state] or []


def record(alarm: Alarm, now: float, kind: str, summary: str, data: dict[str, Any]) -> None:
    """Keep something for DescribeAlarmHistory."""
    alarm.history.append(
        {
            "AlarmName": alarm.name,
            "AlarmType": "CompositeAlarm" if alarm.rule else "MetricAlarm",
            "Timestamp": datetime.fromtimestamp(now, UTC),
            "HistoryItemType": kind,
            "HistorySummary": summary,
            "HistoryData": json.dumps(data, separators=(",", ":"), ensure_ascii=False),
        }
    )
    del alarm.history[:-MOST_HISTORY]


def _told(alarm: Alarm) -> dict[str, Any]:
    data = json.loads(alarm.state_reason_data)
    told = {"stateValue": alarm.state_value, "stateReason": alarm.state_reason}
    return {**told, "stateReasonData": data} if data else told


def _act(alarm: Alarm, action: str, old: State, now: float) -> None:
    """Publish to a topic; other actions, which no alarm of ours has, fail and say so."""
    body = published(message(alarm, old, parse_arn(alarm.alarm_arn).account))
    try:
        arn = parse_arn(action)
        if arn.service != "sns":
            raise ValueError(f"the local AWS carries no actions of {arn.service}")  # noqa: TRY301 - told below, as AWS tells it
        sns = sns_backends[arn.account][arn.region]
        sns.get_topic(action)  # or else moto takes the ARN for that of an application's endpoint
        sns.publish(body, arn=action, subject=subject(alarm))
    except (ServiceException, ValueError) as error:
        why = getattr(error, "message", None) or str(error)
        log.warning("alarm %s could not act on %s: %s", alarm.name, action, why)
        outcome, summary = (
            {"actionState": "Failed", "error": why},
            f'Failed to execute action {action}. Received error: "{why}"',
        )
    else:
        outcome, summary = {"actionState": "Succeeded"}, f"Successfully executed action {action}"
    data = {
        **outcome,
        "stateUpdateTimestamp": int(seconds(alarm.state_updated_timestamp) * 1000),
        "notificationResource": action,
        "publishedMessage": json.dumps({"default": body}, separators=(",", ":"), ensure_ascii=False),
    }
    record(alarm, now, "Action", summary, data)
