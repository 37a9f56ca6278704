"""CloudWatch: alarms, composite alarms and dashboards."""

from __future__ import annotations

from local_aws.resources.calls import call
from local_aws.resources.table import Name, Row
from local_aws.resources.tagging import Tagging

_TAGS = Tagging(call("tag_resource", ResourceARN="Arn"), "Tags", call("untag_resource", ResourceARN="Arn"), "TagKeys")


def _alarm(type_name: str, operation: str, kind: str) -> Row:
    """The two kinds of alarms share names and deletion; describing one takes its kind."""
    found = f"{kind}s[0].{{Arn: AlarmArn}}"
    described = {"AlarmTypes": f"['{kind}']"}
    return Row(
        type_name=type_name,
        service="cloudwatch",
        name=Name("AlarmName"),
        make=call(operation),
        id="AlarmName",
        absent=(call("describe_alarms", AlarmNames="[AlarmName]", **described), f"{kind}s"),
        reads=((call("describe_alarms", AlarmNames="[id]", **described), found),),
        attributes={"Arn": "Arn"},
        whole=True,
        tags=_TAGS,
        remove=call("delete_alarms", AlarmNames="[id]"),
    )


ROWS = (
    _alarm("AWS::CloudWatch::Alarm", "put_metric_alarm", "MetricAlarm"),
    _alarm("AWS::CloudWatch::CompositeAlarm", "put_composite_alarm", "CompositeAlarm"),
    Row(
        type_name="AWS::CloudWatch::Dashboard",
        service="cloudwatch",
        name=Name("DashboardName"),
        make=call("put_dashboard"),
        id="DashboardName",
        absent=(call("get_dashboard", DashboardName="DashboardName"), "DashboardBody"),
        whole=True,
        tags=Tagging(
            call(
                "tag_resource", ResourceARN="join(':', ['arn:aws:cloudwatch:', account, join('/', ['dashboard', id])])"
            ),
            "Tags",
            call(
                "untag_resource",
                ResourceARN="join(':', ['arn:aws:cloudwatch:', account, join('/', ['dashboard', id])])",
            ),
            "TagKeys",
        ),
        remove=call("delete_dashboards", DashboardNames="[id]"),
    ),
)
