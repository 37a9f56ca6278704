"""The certificate authority and all certificates."""

from __future__ import annotations

from constructs import Construct

from catalog.catalog import Catalog
from catalog.environment import Environment
from fleet_constructs.certificate_delivery import CertificateDelivery
from fleet_constructs.certificate_issuer import CertificateIssuer
from fleet_constructs.fleet_network import FleetNetwork
from fleet_constructs.retention import Retention
from stacks.fleet_stack import FleetStack


class CertificatesStack(FleetStack):
    """Ends with valid certificates for every node and every enabled service; whoever needs one depends on this stack."""

    def __init__(
        self,
        scope: Construct,
        *,
        catalog: Catalog,
        environment: Environment,
        network: FleetNetwork,
        topic_arn: str,
        retention: Retention,
    ) -> None:
        super().__init__(
            scope, "certificates", environment=environment, retention=retention, description="Certificate authority"
        )
        CertificateIssuer(
            self,
            "Certificates",
            catalog=catalog,
            environment=environment,
            access_logs=network.traffic_logs,
            delivery=CertificateDelivery(self, "Delivery", environment=environment),
            topic_arn=topic_arn,
            retention=retention,
        )
