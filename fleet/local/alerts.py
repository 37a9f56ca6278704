"""What alarms have told their topics: CloudWatch's own record of it, which is bounded, as is that of the local AWS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

_LOOK_SECONDS = 1.0
# A record may appear a moment after the time that it has.
_LATE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Alert:
    """One message of an alarm to a topic."""

    at: datetime
    alarm: str
    state: str
    reason: str
    topic: str
    error: str | None = None
    """Why it was not published; nothing where it was."""

    def as_record(self) -> dict[str, Any]:
        """Return it as what `--format json` prints."""
        return {
            "at": self.at.isoformat(timespec="milliseconds"),
            "alarm": self.alarm,
            "state": self.state,
            "reason": self.reason,
            "topic": self.topic,
            "published": self.error is None,
            "error": self.error,
        }


def read(cloudwatch: CloudWatchClient, since: datetime | None = None) -> list[Alert]:
    """Return the messages there were, the oldest first."""
    options: dict[str, Any] = {"HistoryItemType": "Action", "ScanBy": "TimestampAscending"}
    if since:
        options["StartDate"] = since
    pages = cloudwatch.get_paginator("describe_alarm_history").paginate(**options)
    return [_alert(item) for page in pages for item in page["AlarmHistoryItems"]]


def alerts(
    cloudwatch: CloudWatchClient, *, last: int, follow: bool, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Alert]:
    """Yield the last messages, and go on with what comes if told to."""
    found = read(cloudwatch)
    yield from found[len(found) - min(last, len(found)) :]
    while follow:
        sleep(_LOOK_SECONDS)
        since = found[-1].at - _LATE if found else None
        new = [alert for alert in read(cloudwatch, since) if alert not in found]
        yield from new
        newest = (found + new)[-1].at if found or new else datetime.now(UTC)
        found = [alert for alert in found + new if alert.at >= newest - 2 * _LATE]


def _alert(item: Any) -> Alert:
    data = json.loads(item["HistoryData"])
    message = json.loads(json.loads(data["publishedMessage"])["default"])
    return Alert(
        item["Timestamp"].astimezone(UTC),
        item["AlarmName"],
        message["NewStateValue"],
        message["NewStateReason"],
        data["notificationResource"].rpartition(":")[2],
        None if data["actionState"] == "Succeeded" else str(data.get("error") or item["HistorySummary"]),
    )
