"""`fleet destroy`: remove an environment."""

from __future__ import annotations

from dataclasses import asdict

from catalog import load_environment
from fleet.account import local_account, open_account
from fleet.children import ended_by_signals
from fleet.cli.ask import confirm
from fleet.cli.options import DEFAULT_CATALOG, CatalogOption, EnvOption, FormatOption, VerboseOption, YesOption
from fleet.cli.output import new_app, result, result_json, say, table
from fleet.cli.progress import PrintedProgress
from fleet.deploy.cdk import CdkCli
from fleet.deploy.destroy import check_removable, destroy
from fleet.deploy.stacks import read_stacks, stacks_of
from fleet.errors import InputError
from fleet.local.server import ENVIRONMENT, LocalAws

app = new_app("Remove an environment, all but what is retained.")


@app.command()
def command(
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    output: FormatOption = "text",
    *,
    yes: YesOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Remove an environment, all but what is retained, and tell what that is."""
    environment = load_environment(env)
    progress = PrintedProgress()
    with ended_by_signals():
        if env == ENVIRONMENT:
            with progress.step("start the local AWS") as step:
                account = local_account(LocalAws().start(step))
        else:
            account = open_account(environment)
        stacks = stacks_of(env, read_stacks(account))
        check_removable(env, stacks.values())
        if stacks and not yes and not confirm(f"remove {len(stacks)} stacks of {env}?"):
            raise InputError("nothing was removed")
        cdk = CdkCli(environment, catalog, account, verbose=verbose)
        retained = destroy(env, account, cdk, progress) if stacks else []
    if output == "json":
        result_json({"removed": sorted(stacks), "retained": [asdict(one) for one in retained]})
        return
    if retained:
        say("retained, and to be removed by hand where it is no longer wanted:")
        result(table(("stack", "type", "id"), [(one.stack, one.type, one.physical_id) for one in retained]))
    result(f"{len(stacks)} stacks of {env} removed; {len(retained)} resources retained")
