"""What keeps the constructs from being built, and is not the catalog's fault; imports no CDK, so that it is there to be caught."""

from __future__ import annotations

from pathlib import Path


class PackagesMissingError(Exception):
    """The packages of the functions were not fetched."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"the packages of the functions are not in {folder}; fetch them: make setup")
