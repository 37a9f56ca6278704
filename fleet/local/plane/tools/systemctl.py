"""`systemctl`, which asks the plane: it runs the units of this machine."""

from __future__ import annotations

import json
import os
import sys

from fleet.local.plane.tools import web

_OK = 200
_SECONDS = 200  # longer than any unit may take to stop


def main(words: list[str]) -> int:
    """Have the plane do it; return the exit code that systemd would."""
    try:
        with open(os.environ["MACHINE_CONTROL"], encoding="utf-8") as file:  # noqa: PTH123 - less to import
            plane = json.load(file)
        body = json.dumps({"node": os.environ["MACHINE_NODE"], "words": words}).encode()
        head = {"Authorization": f"Bearer {plane['token']}"}
        answer = web.ask(plane["control"], "POST", "/systemctl", head, body, _SECONDS)
        told = json.loads(answer.read())
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"Failed to connect to bus: {type(error).__name__}: {error}\n")
        return 1
    if answer.status != _OK:
        sys.stderr.write(f"{told.get('error')}\n")
        return 1
    if told["said"]:
        sys.stderr.write(f"{told['said']}\n")
    return int(told["code"])
