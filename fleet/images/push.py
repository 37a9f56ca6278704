"""Bring missing images to the account's repositories: built by docker in AWS; mere records in the local AWS."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from fleet import project
from fleet.account import Account
from fleet.children import run_child
from fleet.errors import InputError, WantingError
from fleet.images.base import base_image, base_image_fault
from fleet.images.check import ARCHITECTURE_NAMES, OCI_INDEX, OCI_MANIFEST
from fleet.images.required import RequiredImage
from fleet.progress import Progress

_OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_BUILD_SECONDS = 3600
_DOCKER_SECONDS = 60


def push_images(account: Account, missing: Sequence[RequiredImage], progress: Progress) -> None:
    """Bring images to their repositories.

    Raises:
        InputError: docker is not there, the base is not pinned, or an image has no Dockerfile here.
        WantingError: A build failed.
    """
    if account.is_local:
        _record(account, missing, progress)
    else:
        _build(account, missing, progress)


def _record(account: Account, missing: Sequence[RequiredImage], progress: Progress) -> None:
    with progress.step(f"record {len(missing)} image(s) in the local AWS") as step:
        for image in missing:
            if image.digest:
                raise InputError(
                    f"{image.reference} is pinned by its digest: no record can be made of it, push the image itself"
                )
            _put_record(account, image)
        step.outcome("records and no images: nothing in the local AWS pulls them")


def _put_record(account: Account, image: RequiredImage) -> None:
    entries = []
    for architecture in sorted(ARCHITECTURE_NAMES[wanted] for wanted in image.architectures):
        config = _encoded({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})
        manifest = _encoded(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {**_descriptor(_OCI_CONFIG, config), "data": base64.b64encode(config).decode()},
                "layers": [],
            }
        )
        entry = _descriptor(OCI_MANIFEST, manifest)
        account.ecr.put_image(
            repositoryName=image.repository,
            imageManifest=manifest.decode(),
            imageManifestMediaType=OCI_MANIFEST,
            imageDigest=entry["digest"],
        )
        entries.append({**entry, "platform": {"architecture": architecture, "os": "linux"}})
    index = _encoded({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    account.ecr.put_image(
        repositoryName=image.repository,
        imageManifest=index.decode(),
        imageManifestMediaType=OCI_INDEX,
        imageDigest=_descriptor(OCI_INDEX, index)["digest"],
        imageTag=image.tag or "",
    )


def _encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _build(account: Account, missing: Sequence[RequiredImage], progress: Progress) -> None:
    docker = _docker_that_builds(missing)
    registry = _log_in(account, docker)
    for image in missing:
        with progress.step(f"build and push {image.reference}"):
            log = project.log(f"image-{image.source}")
            platforms = ",".join(f"linux/{ARCHITECTURE_NAMES[wanted]}" for wanted in sorted(image.architectures))
            ended = run_child(
                [docker, "buildx", "build", "--platform", platforms, "--push", "--tag", f"{registry}/{image.reference}",
                 "--build-arg", f"BASE_IMAGE={base_image()}", "--file", str(project.IMAGES / image.source / "Dockerfile"),
                 str(project.ROOT)],
                directory=project.ROOT,
                environment=os.environ,
                deadline_seconds=_BUILD_SECONDS,
                log=log,
            )  # fmt: skip
        if ended.code:
            raise WantingError(
                "\n".join([*ended.lines[-30:], f"{image.reference} was not built; the whole log: {log}"])
            )


def _docker_that_builds(missing: Sequence[RequiredImage]) -> str:
    """Return the docker command; tell everything that stands in the way of a build before the first one."""
    docker = shutil.which("docker")
    faults = []
    for image in missing:
        dockerfile = project.IMAGES / image.source / "Dockerfile"
        if image.digest:
            faults.append(f"{image.reference} is pinned by its digest: only a push of that very image brings it")
        elif not dockerfile.is_file():
            faults.append(
                f"{image.reference} has no {dockerfile.relative_to(project.ROOT)}: whoever owns {', '.join(image.services)} pushes it"
            )
    if any((project.IMAGES / image.source / "Dockerfile").is_file() for image in missing) and (
        fault := base_image_fault()
    ):
        faults.append(fault)
    if docker is None:
        faults.append("docker is not installed, and builds the images: https://docs.docker.com/engine/install/")
    elif not _answers(docker):
        faults.append(
            "docker does not answer with buildx: start its daemon, and see that `docker buildx version` works"
        )
    if docker is None or faults:
        raise InputError("the missing images cannot be built here\n" + "\n".join(f"  - {fault}" for fault in faults))
    return docker


def _answers(docker: str) -> bool:
    try:
        for command in ([docker, "buildx", "version"], [docker, "info"]):
            subprocess.run(command, check=True, capture_output=True, timeout=_DOCKER_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _log_in(account: Account, docker: str) -> str:
    """Let docker push to the account's registry, and return its address."""
    token = account.ecr.get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    registry = token["proxyEndpoint"].removeprefix("https://")
    try:
        subprocess.run(
            [docker, "login", "--username", user, "--password-stdin", registry],
            input=password.encode(),
            check=True,
            capture_output=True,
            timeout=_DOCKER_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"docker could not log in to {registry}: {error}") from error
    return registry
