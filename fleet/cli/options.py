"""Options that several commands take, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleet import project
from fleet.cli.output import Format

EnvOption = Annotated[str, typer.Option("--env", help="Environment: the name of a file in environments/.")]
CatalogOption = Annotated[Path, typer.Option("--catalog", help="The service catalog.", show_default=False)]
FormatOption = Annotated[Format, typer.Option("--format", help="How the result is printed.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show everything that the CDK CLI prints.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

DEFAULT_CATALOG = project.CATALOG
