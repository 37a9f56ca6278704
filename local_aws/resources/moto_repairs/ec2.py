"""EC2: flow logs below a prefix, and endpoints that change and go.

moto 5.2.5

- takes all of a flow log's destination for the bucket's name, prefix included, and says that there is no such bucket;
- drops the private DNS setting from a change of an endpoint, and neither adds nor removes the routes of a gateway endpoint then;
- fails to delete a gateway endpoint when one of its routes is gone, and lists deleted endpoints for ever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.flow_logs import FlowLogs, FlowLogsBackend
from moto.ec2.models.vpcs import VPCBackend, VPCEndPoint
from moto.ec2.responses.vpcs import VPCs

from local_aws.resources.moto_repairs.patching import around


def _set_routes(backend: Any, endpoint: VPCEndPoint, tables: list[str], *, there: bool) -> None:
    prefix_list = endpoint.destination_prefix_list_id
    for table in tables if prefix_list else ():
        if there:
            backend.create_route(table, None, gateway_id=endpoint.id, destination_prefix_list_id=prefix_list)
        else:
            with contextlib.suppress(EC2ClientError):
                backend.delete_route(table, prefix_list)


def apply() -> None:
    """Mend flow logs and endpoints."""

    @around(VPCs, "modify_vpc_endpoint")
    def modify_vpc_endpoint(original: Callable[..., ActionResult], response: VPCs) -> ActionResult:
        endpoint = response.ec2_backend.vpc_end_points[response._get_param("VpcEndpointId")]  # noqa: SLF001
        before = set(endpoint.route_table_ids)
        result = original(response)
        private_dns = response._get_bool_param("PrivateDnsEnabled")  # noqa: SLF001
        if private_dns is not None:
            endpoint.private_dns_enabled = private_dns
        after = set(endpoint.route_table_ids)
        _set_routes(response.ec2_backend, endpoint, sorted(before - after), there=False)
        _set_routes(response.ec2_backend, endpoint, sorted(after - before), there=True)
        return result

    @around(VPCBackend, "delete_vpc_endpoints")
    def delete_vpc_endpoints(
        original: Callable[..., None], backend: VPCBackend, vpce_ids: list[str] | None = None
    ) -> None:
        for endpoint_id in vpce_ids or []:
            endpoint = backend.vpc_end_points.get(endpoint_id)
            if endpoint:
                _set_routes(backend, endpoint, endpoint.route_table_ids, there=False)
                endpoint.route_table_ids = []
                original(backend, [endpoint_id])
                del backend.vpc_end_points[endpoint_id]

    @around(FlowLogsBackend, "create_flow_logs")
    def with_prefix(
        original: Callable[..., tuple[list[FlowLogs], list[Any]]], backend: FlowLogsBackend, **named: Any
    ) -> tuple[list[FlowLogs], list[Any]]:
        destination = named["log_destination"]
        if named["log_destination_type"] != "s3":
            return original(backend, **named)
        bucket_arn, _, _ = destination.partition("/")
        made, refused = original(backend, **{**named, "log_destination": bucket_arn})
        for flow_logs in made:
            flow_logs.log_destination = destination
        return made, refused
