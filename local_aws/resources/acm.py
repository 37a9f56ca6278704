"""Certificate Manager: certificates, and the records that prove the right to them."""

from __future__ import annotations

from typing import Any

from local_aws.resources.calls import Properties, Task, call
from local_aws.resources.table import Put, Row, do
from local_aws.resources.tagging import Tagging


def _certificate_properties(properties: Properties) -> Properties:
    """ACM is asked with the domains to validate by mail; in which zones to write records is for CloudFormation to know."""
    result: dict[str, Any] = dict(properties)
    options = result.pop("DomainValidationOptions", [])
    zones = {option["DomainName"]: option["HostedZoneId"] for option in options if "HostedZoneId" in option}
    mailed = [option for option in options if "HostedZoneId" not in option]
    return (
        result | ({"ValidationZones": zones} if zones else {}) | ({"DomainValidationOptions": mailed} if mailed else {})
    )


def _write_records(task: Task) -> None:
    described = task.client.describe_certificate(CertificateArn=task.id)["Certificate"]
    zones = task.new["ValidationZones"]
    for option in described.get("DomainValidationOptions", []):
        record = option.get("ResourceRecord")
        if record and option["DomainName"] in zones:
            resource = {
                "Name": record["Name"],
                "Type": record["Type"],
                "TTL": 300,
                "ResourceRecords": [{"Value": record["Value"]}],
            }
            batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": resource}]}
            zone = zones[option["DomainName"]]
            task.context.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


ROWS = (
    Row(
        type_name="AWS::CertificateManager::Certificate",
        service="acm",
        translate=_certificate_properties,
        make=call(
            "request_certificate",
            Options="{CertificateTransparencyLoggingPreference: CertificateTransparencyLoggingPreference || 'ENABLED', Export: CertificateExport}",
        ),
        id="CertificateArn",
        attributes={"CertificateArn": "id"},
        steps=(do(_write_records, "ValidationZones"),),
        changes=(
            Put(
                call(
                    "update_certificate_options",
                    CertificateArn="id",
                    Options="{CertificateTransparencyLoggingPreference: CertificateTransparencyLoggingPreference || 'ENABLED'}",
                )
            ),
        ),
        tags=Tagging(
            call("add_tags_to_certificate", CertificateArn="id"),
            "Tags",
            call("remove_tags_from_certificate", CertificateArn="id"),
            "Tags",
        ),
        remove=call("delete_certificate", CertificateArn="id"),
    ),
)
