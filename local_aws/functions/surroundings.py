"""What a function is told of the world beyond AWS, which here is the data plane, or nothing.

In AWS the network has names for the nodes and the cache, and both are there. Here they are where the plane says, and without a
plane nobody waits for what does not come.
"""

from __future__ import annotations

from collections.abc import Mapping

from local_aws import data_plane

_WAITS, _PROBES = "WAIT_FOR_NODES", "PROBE_FUNCTION"


def in_these_surroundings(variables: Mapping[str, str]) -> dict[str, str]:
    """Return a function's own variables as they have to be here, and what it needs besides."""
    plane = data_plane.current()
    if plane is None:
        waits_for_nobody = {_WAITS: "false"} if _WAITS in variables else {}
        return {**{name: value for name, value in variables.items() if name != _PROBES}, **waits_for_nobody}
    told = {str(name): str(value) for name, value in plane.told.get("function_variables", {}).items()}
    return {
        **{name: value for name, value in variables.items() if name != _PROBES or plane.told.get("cache")},
        **told,
    }
