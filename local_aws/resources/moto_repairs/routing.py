"""Routes of requests: made by one thread at a time.

moto makes a service's routes when it is first asked for one, and werkzeug parses Python for each. On CPython 3.11.7, with several threads asking, that
has ended once in "SystemError: AST constructor recursion depth mismatch". That parsers in two threads met is inferred: it was not made to happen again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from moto.core.routing import ProtocolRouter, ServiceOperationRouter

from local_aws.resources.moto_repairs.patching import around

_making = threading.Lock()


def apply() -> None:
    """Mend the making of routes."""

    @around(ServiceOperationRouter, "_get_router")
    def one_at_a_time(
        original: Callable[[ServiceOperationRouter, str], ProtocolRouter], router: ServiceOperationRouter, protocol: str
    ) -> ProtocolRouter:
        with _making:
            return original(router, protocol)
