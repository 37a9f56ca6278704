"""EC2: a terminated instance takes the interfaces along that came with it, and lets go of the others.

moto 5.2.5 takes nothing said for «keep the interface», where AWS removes an interface that was made for the instance; and one that
is kept stays attached to an instance that is no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.models.instances import Instance

from local_aws.resources.moto_repairs.patching import around


def apply() -> None:
    """Mend the end of instances."""

    @around(Instance, "prep_nics")
    def prep_nics(
        original: Callable[..., None], instance: Instance, nic_spec: list[dict[str, Any]], **named: Any
    ) -> None:
        original(
            instance,
            [nic if "NetworkInterfaceId" in nic else {"DeleteOnTermination": True, **nic} for nic in nic_spec],
            **named,
        )
        if not nic_spec:
            for nic in instance.nics.values():
                nic.delete_on_termination = True

    @around(Instance, "terminate")
    def terminate(original: Callable[..., Any], instance: Instance) -> Any:
        previous = original(instance)
        for nic in [nic for nic in instance.nics.values() if not nic.delete_on_termination]:
            instance.detach_eni(nic)
        return previous
