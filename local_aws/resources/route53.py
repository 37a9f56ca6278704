"""Route 53: hosted zones and their records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from local_aws.resources.calls import Properties, Task, call
from local_aws.resources.coerce import Coercion
from local_aws.resources.contract import Context, Made
from local_aws.resources.table import Put, Row, do
from local_aws.resources.tagging import Tagging


def _zone_properties(properties: Properties) -> Properties:
    """Route 53 makes a zone with one network; the zone is private if there is any."""
    result = dict(properties)
    if "VPCs" in result:
        result["HostedZoneConfig"] = {**result.get("HostedZoneConfig", {}), "PrivateZone": True}
    return result


def _associate(task: Task) -> None:
    """Associate the networks that the zone does not have yet; its making took the first."""
    there = {one["VPCId"] for one in task.client.get_hosted_zone(Id=task.id)["VPCs"]}
    wanted = {one["VPCId"]: one for one in task.new.get("VPCs", [])}
    for vpc in [vpc for key, vpc in wanted.items() if key not in there]:
        task.perform(call("associate_vpc_with_hosted_zone", HostedZoneId="id"), VPC=vpc)
    for vpc in [vpc for vpc in task.old.get("VPCs", []) if vpc["VPCId"] not in wanted]:
        task.perform(call("disassociate_vpc_from_hosted_zone", HostedZoneId="id"), VPC=vpc)


def _short(scope: Mapping[str, Any]) -> str:
    return str(scope["HostedZone"]["Id"]).removeprefix("/hostedzone/")


_TAGGED = {"ResourceType": "'hostedzone'", "ResourceId": "id"}

ROWS = (
    Row(
        type_name="AWS::Route53::HostedZone",
        service="route53",
        translate=_zone_properties,
        make=call("create_hosted_zone", VPC="VPCs[0]", CallerReference="token"),
        id=_short,
        reads=((call("get_hosted_zone", Id="id"), "@"),),
        attributes={"Id": "id", "NameServers": "DelegationSet.NameServers || `[]`"},
        steps=(
            do(_associate, "VPCs"),
            Put(
                call(
                    "create_query_logging_config",
                    HostedZoneId="id",
                    CloudWatchLogsLogGroupArn="QueryLoggingConfig.CloudWatchLogsLogGroupArn",
                ),
            ),
        ),
        changes=(Put(call("update_hosted_zone_comment", Id="id", Comment="HostedZoneConfig.Comment || ''")),),
        tags=Tagging(
            call("change_tags_for_resource", **_TAGGED),
            "AddTags",
            call("change_tags_for_resource", **_TAGGED),
            "RemoveTagKeys",
            property="HostedZoneTags",
        ),
        remove=call("delete_hosted_zone", Id="id"),
    ),
)


class RecordSet:
    """`AWS::Route53::RecordSet`: one record of a zone."""

    def create(self, context: Context, properties: Properties) -> Made:
        """Add the record; one that is there already is another's."""
        self._change(context, "CREATE", properties)
        return Made(properties["Name"])

    def update(self, context: Context, made: Made, old: Properties, new: Properties) -> Made:
        """Put the record in its place; another name or type is another record."""
        if any(old.get(name) != new.get(name) for name in ("Name", "Type", "SetIdentifier")):
            return self.create(context, new)
        self._change(context, "UPSERT", new)
        return made

    def delete(self, context: Context, _made: Made, properties: Properties) -> None:
        """Take the record out."""
        try:
            self._change(context, "DELETE", properties)
        except ClientError as error:
            if error.response["Error"]["Code"] not in {"InvalidChangeBatch", "NoSuchHostedZone"}:
                raise

    @staticmethod
    def _change(context: Context, action: str, properties: Properties) -> None:
        route53 = context.client("route53")
        record = {
            name: value
            for name, value in properties.items()
            if name not in {"HostedZoneId", "HostedZoneName", "Comment"}
        }
        if "ResourceRecords" in record:
            record["ResourceRecords"] = [{"Value": value} for value in record["ResourceRecords"]]
        if "AliasTarget" in record:
            record["AliasTarget"] = {"EvaluateTargetHealth": False, **record["AliasTarget"]}
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        coercion = Coercion(route53, "change_resource_record_sets", type_name="AWS::Route53::RecordSet")
        _, changes = coercion.argument("ChangeBatch", batch)
        route53.change_resource_record_sets(HostedZoneId=_zone(route53, properties), ChangeBatch=changes)


def _zone(route53: Any, properties: Properties) -> str:
    if "HostedZoneId" in properties:
        return str(properties["HostedZoneId"])
    name = properties["HostedZoneName"]
    zones = [zone for zone in route53.list_hosted_zones_by_name(DNSName=name)["HostedZones"] if zone["Name"] == name]
    if len(zones) != 1:
        raise LookupError(f"{len(zones)} hosted zones are named {name}")
    return str(zones[0]["Id"])
