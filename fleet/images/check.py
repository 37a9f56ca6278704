"""Whether the images that the catalog asks for are in the account's repositories, for the processors that will run them."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.service import Architecture
from fleet.account import Account
from fleet.images.required import RequiredImage

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_ACCEPTED = [
    OCI_INDEX,
    OCI_MANIFEST,
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
]
ARCHITECTURE_NAMES: Mapping[Architecture, str] = {"arm64": "arm64", "x86_64": "amd64"}
"""What an image calls the processors of the catalog."""
_DOWNLOAD_SECONDS = 20


@dataclass(frozen=True, slots=True)
class ImageFinding:
    """What is known of a required image."""

    image: RequiredImage
    missing: str | None
    """What is not there; nothing where all is well."""


def check_images(account: Account, required: Sequence[RequiredImage]) -> list[ImageFinding]:
    """Look every required image up."""
    return [ImageFinding(image, _missing(account, image)) for image in required]


def _missing(account: Account, image: RequiredImage) -> str | None:
    try:
        answer = account.ecr.batch_get_image(
            repositoryName=image.repository,
            imageIds=[{"imageDigest": image.digest} if image.digest else {"imageTag": image.tag or ""}],
            acceptedMediaTypes=_ACCEPTED,
        )
    except account.ecr.exceptions.RepositoryNotFoundException:
        return "no such repository"
    if not answer["images"]:
        return "no such digest" if image.digest else "no such tag"
    manifest = json.loads(answer["images"][0]["imageManifest"])
    there = _architectures(account, image.repository, manifest)
    lacking = sorted(
        ARCHITECTURE_NAMES[wanted] for wanted in image.architectures if ARCHITECTURE_NAMES[wanted] not in there
    )
    return f"not for {', '.join(lacking)}, only for {', '.join(sorted(there)) or 'nothing known'}" if lacking else None


def _architectures(account: Account, repository: str, manifest: Mapping[str, Any]) -> set[str]:
    """Return the processors that an image runs on: an index lists them, a single image has one in its configuration."""
    if "manifests" in manifest:
        return {entry.get("platform", {}).get("architecture", "unknown") for entry in manifest["manifests"]} - {
            "unknown"
        }
    config = manifest["config"]
    if "data" in config:  # the OCI format allows a small configuration to stand in the manifest itself
        content = base64.b64decode(config["data"])
    else:
        url = account.ecr.get_download_url_for_layer(repositoryName=repository, layerDigest=config["digest"])[
            "downloadUrl"
        ]
        with urllib.request.urlopen(url, timeout=_DOWNLOAD_SECONDS) as response:  # noqa: S310 - an address that ECR gave
            content = response.read()
    return {json.loads(content)["architecture"]}
