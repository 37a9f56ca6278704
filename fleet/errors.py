"""What can go wrong while the command does what it was asked, and how the command then ends.

    FleetError          the command ends with one message and no traceback
    ├── WantingError    exit 1: it was looked at, and found wanting
    └── InputError      exit 2: bad input or usage, or something that the command needs is not there

Any other exception is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

EXIT_GOOD = 0
EXIT_WANTING = 1
EXIT_BAD_INPUT = 2


class FleetError(Exception):
    """A command ends with a message on stderr and its exit code."""

    exit_code = EXIT_WANTING


class WantingError(FleetError):
    """What was looked at is not as it should be."""


class InputError(FleetError):
    """What the user gave, or what the machine and the account have, does not allow the command to begin."""

    exit_code = EXIT_BAD_INPUT
