"""Stands for the local AWS in tests of its process: the same command line and the same address file, and nothing else.

The first argument says how it behaves; the rest are those of `python -m local_aws`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path


def main(behaviour: str, state: Path) -> None:
    if behaviour == "dies":
        sys.stderr.write("port 4566 is taken\n")
        sys.exit(3)
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    listener = socket.create_server(("127.0.0.1", 0))
    if behaviour != "silent":
        record = {
            "endpoint": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "region": "us-east-1",
            "account": "123456789012",
            "pid": os.getpid(),
            "started": "2026-01-01T00:00:00+00:00",
        }
        scratch = state / "server.json.new"
        scratch.write_text(json.dumps(record))
        scratch.replace(state / "server.json")
    time.sleep(120)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[-1]))
