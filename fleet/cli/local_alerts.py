"""`fleet local alerts`: what the alarms of the fleet on this machine have told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.children import ended_by_signals
from fleet.cli.output import Format, result, result_json, styled
from fleet.local.server import ENVIRONMENT

if TYPE_CHECKING:
    from fleet.local.alerts import Alert

_STYLES = {"ALARM": "red", "OK": "green"}


def alerts(
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many to begin with.")] = 20,
    output: Annotated[
        Format, typer.Option("--format", help="How they are printed; what is followed is JSON a line.")
    ] = "text",
) -> None:
    """Print what alarms have told their topics: when, which, its state and why."""
    from catalog import load_environment  # noqa: PLC0415 - boto3 and the catalog cost what other commands need not pay
    from fleet.account import open_account  # noqa: PLC0415
    from fleet.local.alerts import alerts as told  # noqa: PLC0415

    cloudwatch = open_account(load_environment(ENVIRONMENT)).cloudwatch
    found = told(cloudwatch, last=lines, follow=follow)
    if output == "json" and not follow:
        result_json([alert.as_record() for alert in found])
        return
    with ended_by_signals():
        try:
            for alert in found:
                result(json.dumps(alert.as_record(), ensure_ascii=False) if output == "json" else _line(alert))
        except KeyboardInterrupt:
            raise typer.Exit from None


def _line(alert: Alert) -> str:
    state = alert.state.ljust(len("INSUFFICIENT_DATA"))
    style = _STYLES.get(alert.state, "yellow")
    failed = f"  not published to {alert.topic}: {alert.error}" if alert.error else ""
    return f"{alert.at:%Y-%m-%d %H:%M:%S}  {styled(state, style)}  {alert.alarm}  {alert.reason}{failed}"  # type: ignore[arg-type]  # one of the styles
