"""Certificate Manager: the options of a certificate can be changed.

moto 5.2.5 keeps them, and has no UpdateCertificateOptions.
"""

from __future__ import annotations

from moto.acm.responses import AWSCertificateManagerResponse
from moto.core.responses import EmptyResult

from local_aws.resources.moto_repairs.patching import add


def update_certificate_options(self: AWSCertificateManagerResponse) -> EmptyResult:
    """UpdateCertificateOptions."""
    bundle = self.acm_backend.get_certificate(self._get_param("CertificateArn"))
    bundle.cert_options = {**bundle.cert_options, **self._get_param("Options")}
    return EmptyResult()


def apply() -> None:
    """Add the operation."""
    add(AWSCertificateManagerResponse, update_certificate_options)
