"""What keeps the constructs from being built, and is not the catalog's fault; imports no CDK, so that it is there to be caught."""

from __future__ import annotations

from pathlib import Path


class PackagesMissingError(Exception):
    """What the functions, or the NATS machines, run was not fetched."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"what functions and NATS machines run is not in {folder}; fetch it: make setup")
