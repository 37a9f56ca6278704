"""`fleet verify`: whether an environment is what the catalog says."""

from __future__ import annotations

import typer

from catalog import load_catalog, load_environment
from fleet.account import open_account
from fleet.cli.errors import EXIT_WANTING
from fleet.cli.options import DEFAULT_CATALOG, CatalogOption, EnvOption, FormatOption
from fleet.cli.output import new_app
from fleet.cli.verification import print_report
from fleet.verify.run import verify

app = new_app("Compare an environment with the catalog.")


@app.command()
def command(env: EnvOption = "local", catalog: CatalogOption = DEFAULT_CATALOG, output: FormatOption = "text") -> None:
    """Compare an environment with the catalog; exit 1 where anything is wanting."""
    environment = load_environment(env)
    report = verify(load_catalog(catalog), environment, open_account(environment))
    print_report(report, output)
    if not report.good:
        raise typer.Exit(EXIT_WANTING)
