"""How long things may take: what a document allows its command, and who waits for it allows a little more."""

from __future__ import annotations

COMMAND_SECONDS = {
    "configure": 200,  # another change of the machine may have its turn first
    "gate": 270,
    "leave": 180,
    "status": 60,
    "streams": 300,
    "backup": 3600,
    "restore": 3600,
}
_DELIVERY_SECONDS = 40  # Systems Manager takes a command to the machine, and its outcome back


def waiting_seconds(command: str) -> int:
    """Return how long to wait for a command: longer than it may last."""
    return COMMAND_SECONDS[command] + _DELIVERY_SECONDS
