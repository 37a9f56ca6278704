"""`python -m reference_service`: the service that the container's environment describes."""

from __future__ import annotations

import os
import sys

from reference_service.service import ReferenceService
from sdk import ConfigurationError, Settings


def main() -> int:
    """Run until SIGTERM; 2 where the environment is not complete."""
    try:
        service = ReferenceService(Settings.from_environment(), variables=os.environ).service
    except ConfigurationError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    service.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
