"""`python -m load_test`: one worker, told by its environment where its run lies in the bucket, or by `--plan` what to do at once.

NATS_SERVERS                                    where the nodes are
CERTIFICATES_BUCKET, CERTIFICATES_PREFIX        where its certificate lies; or CERTIFICATES_DIRECTORY, a folder
LOAD_TEST_BUCKET, LOAD_TEST_PREFIX              where the run lies
LOAD_TEST_WORKER                                its number, from 0
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from load_test.exchange import ExchangeError, S3Exchange
from load_test.plan import Plan
from load_test.worker import WorkerError, run, take_part
from sdk.certificates import CertificateSource
from sdk.errors import ConfigurationError, SdkError
from sdk.logs import configure_logging
from sdk.settings import certificate_source


def main() -> int:
    """Run; 1 where the test could not be run, 2 where it was not told enough."""
    parser = argparse.ArgumentParser(prog="python -m load_test", description=__doc__)
    parser.add_argument(
        "--plan", type=Path, help="a plan as JSON: run it at once and alone, and print what was measured"
    )
    plan: Path | None = parser.parse_args().plan
    try:
        servers = _servers(os.environ)
        certificates = certificate_source(os.environ)
        if plan is not None:
            logging.basicConfig(level=logging.ERROR)  # what a worker lives through is in its measurements
            measured = _on_a_fast_loop(run(Plan.from_plain(json.loads(plan.read_text())), servers, certificates))
            sys.stdout.write(json.dumps(measured.to_plain()) + "\n")
        else:
            _take_part(os.environ, servers, certificates)
    except ConfigurationError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except (SdkError, WorkerError, ExchangeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _take_part(variables: Mapping[str, str], servers: list[str], certificates: CertificateSource) -> None:
    names = ("LOAD_TEST_BUCKET", "LOAD_TEST_PREFIX", "LOAD_TEST_WORKER")
    missing = [name for name in names if not variables.get(name)]
    if missing:
        raise ConfigurationError(
            f"{', '.join(missing)} must be set: `fleet loadtest` starts workers; or give a plan (--plan)"
        )
    configure_logging(service="loadtest", environment=variables.get("FLEET_ENVIRONMENT", "local"))
    bucket, prefix, worker = (variables[name] for name in names)
    _on_a_fast_loop(take_part(S3Exchange(bucket, prefix), int(worker), servers, certificates))


def _servers(variables: Mapping[str, str]) -> list[str]:
    servers = [each.strip() for each in variables.get("NATS_SERVERS", "").split(",") if each.strip()]
    if not servers:
        raise ConfigurationError("NATS_SERVERS is not set")
    return servers


def _on_a_fast_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """Run on uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


if __name__ == "__main__":
    sys.exit(main())
