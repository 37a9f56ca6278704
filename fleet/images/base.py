"""The base of our images: pinned by its digest, in a file that whoever builds has written and committed."""

from __future__ import annotations

import re
from pathlib import Path

from fleet import project

RECOMMENDED = "python:3.13-slim-bookworm"
_PINNED = re.compile(r"[a-z0-9][a-z0-9./:_-]*@sha256:[0-9a-f]{64}")


def base_image_file() -> Path:
    """Return where the base is written down."""
    return project.IMAGES / "base-image"


def base_image_fault() -> str | None:
    """Return what is wrong with the base, and how it is put right; nothing where all is well."""
    path = base_image_file()
    name = path.relative_to(project.ROOT)
    how = (
        f"write it there and commit it: echo {RECOMMENDED}@$(docker buildx imagetools inspect {RECOMMENDED} "
        f"--format '{{{{.Manifest.Digest}}}}') > {name}"
    )
    if not path.is_file():
        return f"{name} is missing, which has the base of the images, pinned by its digest; {how}"
    if not _PINNED.fullmatch(found := path.read_text("utf-8").strip()):
        return f"{name} has {found[:120]!r}, which is no image pinned by its digest (NAME@sha256:…); {how}"
    return None


def base_image() -> str:
    """Return the base, once `base_image_fault` has found nothing."""
    return base_image_file().read_text("utf-8").strip()
