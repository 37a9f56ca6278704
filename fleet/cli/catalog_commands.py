"""`fleet catalog`: check, read and edit the service catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog import load_catalog
from fleet.cli.output import new_app, result

app = new_app("Check, read and edit the service catalog.")


@app.callback()
def catalog() -> None:
    """Check, read and edit the service catalog."""


@app.command()
def check(path: Annotated[Path, typer.Argument()] = Path("service_catalog.yaml")) -> None:
    """Tell every fault of the catalog."""
    checked = load_catalog(path)
    result(f"{path}: {len(checked.services)} services, {len(checked.enabled)} of them enabled")
