"""`fleet diff`: what a deployment would change."""

from __future__ import annotations

from catalog import load_environment
from fleet.account import open_account
from fleet.children import ended_by_signals
from fleet.cli.options import DEFAULT_CATALOG, CatalogOption, EnvOption, VerboseOption
from fleet.cli.output import new_app, result
from fleet.cli.progress import PrintedProgress
from fleet.deploy.cdk import CdkCli

app = new_app("Show what a deployment would change.")


@app.command()
def command(
    env: EnvOption = "local", catalog: CatalogOption = DEFAULT_CATALOG, *, verbose: VerboseOption = False
) -> None:
    """Show what a deployment would change, as the CDK CLI compares it."""
    environment = load_environment(env)
    account = open_account(environment)
    cdk = CdkCli(environment, catalog, account, verbose=verbose)
    progress = PrintedProgress()
    with ended_by_signals():
        with progress.step("synthesise the stacks") as step:
            cdk.synth(step)
        with progress.step("compare with what is deployed") as step:
            changes = cdk.diff(step)
    result(changes)
