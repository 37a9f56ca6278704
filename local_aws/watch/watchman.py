"""Judges the alarms once a minute, as long as somebody measures what they are about.

Somebody is a data plane, which also says how long a minute takes. When it goes away, an alarm that stayed as it is would claim
something that nobody knows, so that all of them go back to INSUFFICIENT_DATA; nobody is told of that, since nothing is wrong.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import cast

from moto.cloudwatch.models import Alarm, CloudWatchBackend, cloudwatch_backends

from local_aws.gate import Gate
from local_aws.watch.alarm_states import change
from local_aws.watch.evaluation import MINUTE_SECONDS, Rule, evaluate, is_judged, scaled, window
from local_aws.watch.measuring import samples_of
from local_aws.watch.samples import HOUR_SECONDS, Metric

log = logging.getLogger(__name__)

NOBODY_MEASURES = "Insufficient Data: no data plane is registered with the local AWS, so nothing is measured."
# Whoever is alive says so again well within this time after a restart of the server.
_RETURN_SECONDS = 15.0
_LOOK_SECONDS = 1.0
# Samples of a minute's last moment are still under way when it ends.
_LAG_PART = 0.1


class Watchman:
    """One for a server.

    Args:
        gate: held while alarms change.
        minute_seconds: how long a minute takes, or that nobody measures.
        touch: told that something changed which is worth saving.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        gate: Gate,
        minute_seconds: Callable[[], float | None],
        touch: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._gate = gate
        self._minute_seconds = minute_seconds
        self._touch = touch
        self._clock = clock
        self._born = clock()
        self._measured_since: float | None = None
        self._is_reset = False
        self._judged_until = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchman", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        self._thread.join()

    def look(self) -> None:
        """Judge the alarms if a minute is over; take their states back if nobody measures any more."""
        minute, now = self._minute_seconds(), self._clock()
        if minute is None:
            gone = self._measured_since is not None or now - self._born >= _RETURN_SECONDS
            self._measured_since = None
            if gone and not self._is_reset:
                self._is_reset = True
                self._each(lambda backend: self._take_back(backend, now))
            return
        if self._measured_since is None:
            self._measured_since, self._is_reset, self._judged_until = now, False, 0.0
        now -= minute * _LAG_PART
        if (end := now // minute * minute) > self._judged_until:
            self._judged_until = end
            self._each(lambda backend: self._judge(backend, now, minute))

    def _run(self) -> None:
        while not self._stopped.wait(min(_LOOK_SECONDS, (self._minute_seconds() or MINUTE_SECONDS) * _LAG_PART)):
            try:
                self.look()
            except Exception:  # the next minute is another chance, and nobody else would notice
                log.exception("the alarms could not be judged")

    def _each(self, work: Callable[[CloudWatchBackend], bool]) -> None:
        with self._gate.request():
            backends = [backend for _, _, backend in list(cloudwatch_backends.iter_backends())]
            changed = [work(cast("CloudWatchBackend", backend)) for backend in backends]
        if any(changed):
            self._touch()

    def _judge(self, backend: CloudWatchBackend, now: float, minute: float) -> bool:
        samples = samples_of(backend)
        rules = [(alarm, rule) for alarm in list(backend.alarms.values()) if (rule := rule_of(alarm))]
        longest = max((rule.looked_at * rule.period_seconds for _, rule in rules), default=0.0)
        samples.keep_seconds = scaled(longest + HOUR_SECONDS, minute)
        samples.forget(now)
        changed = False
        for alarm, rule in rules:
            seen = samples.between(metric_of(alarm), *window(rule, now, minute))
            verdict = evaluate(rule, seen, now, minute, self._measured_since or now)
            if verdict and verdict.state != alarm.state_value:
                changed |= change(alarm, verdict.state, verdict.reason, verdict.data, self._clock())
        return changed

    @staticmethod
    def _take_back(backend: CloudWatchBackend, now: float) -> bool:
        changed = False
        for alarm in list(backend.alarms.values()):
            if rule_of(alarm) and alarm.state_value != "INSUFFICIENT_DATA":
                changed |= change(alarm, "INSUFFICIENT_DATA", NOBODY_MEASURES, None, now, acts=False)
        return changed


def rule_of(alarm: Alarm) -> Rule | None:
    """Return an alarm's rule, if it is one that can be judged here."""
    if alarm.rule or alarm.metric_data_queries or not is_judged(alarm.statistic, alarm.comparison_operator):
        return None
    return Rule(
        statistic=alarm.statistic,
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        period_seconds=int(alarm.period),
        evaluation_periods=int(alarm.evaluation_periods),
        datapoints_to_alarm=int(alarm.datapoints_to_alarm) if alarm.datapoints_to_alarm else None,
        missing=alarm.treat_missing_data or "missing",  # type: ignore[arg-type]  # one of CloudWatch's words
        unit=alarm.unit,
    )


def metric_of(alarm: Alarm) -> Metric:
    """Return the metric that an alarm is about."""
    dimensions = {str(dimension.name): str(dimension.value) for dimension in alarm.dimensions}
    return Metric.of(alarm.namespace, alarm.metric_name, dimensions)
