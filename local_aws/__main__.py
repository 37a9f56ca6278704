"""Run the local AWS: `python -m local_aws serve --state DIR [--port N]`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from local_aws.errors import StateError
from local_aws.state import StateDirectory


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal comes; 2 says that it could not begin."""
    parser = argparse.ArgumentParser(
        prog="python -m local_aws", description="An AWS on this machine, for the CDK CLI and boto3."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve on loopback until SIGTERM or SIGINT")
    serve.add_argument("--state", type=Path, required=True, help="directory that keeps what is deployed")
    serve.add_argument(
        "--port", type=int, default=0, help="port to listen on (default: that of the last run, or any free one)"
    )
    serve.add_argument("--verbose", action="store_true", help="log every request")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    directory = StateDirectory(options.state.resolve())
    try:
        directory.lock()
    except StateError as error:
        print(f"local AWS: {error}", file=sys.stderr)  # noqa: T201 - this is a command
        return 2
    try:
        return _serve(directory, options.port)
    except StateError as error:
        print(f"local AWS: {error}", file=sys.stderr)  # noqa: T201 - this is a command
        return 2
    finally:
        directory.unlock()


def _serve(directory: StateDirectory, port: int) -> int:
    # moto takes a second to import: a directory that is in use is told of before.
    from local_aws.server import LocalAws  # noqa: PLC0415

    server = LocalAws(directory, port)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # Not in this thread: `shutdown` waits for `serve` to return, which this thread is inside of.
        threading.Thread(target=server.stop, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"local AWS on {server.endpoint}, state in {directory.path}", flush=True)  # noqa: T201 - this is a command
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
