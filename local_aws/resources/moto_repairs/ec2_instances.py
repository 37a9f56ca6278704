"""EC2: a terminated instance takes the volumes and interfaces along that came with it, and lets go of the others.

moto 5.2.5 takes nothing said for «keep it», where AWS removes what was made for the instance; and an interface that is kept stays
attached to an instance that is no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ec2.models.instances import Instance, InstanceBackend

from local_aws.resources.moto_repairs.patching import around


def _goes_with_the_instance(mapping: dict[str, Any]) -> dict[str, Any]:
    return {**mapping, "Ebs": {"DeleteOnTermination": True, **mapping["Ebs"]}} if "Ebs" in mapping else mapping


def apply() -> None:
    """Mend the end of instances."""

    @around(InstanceBackend, "run_instances")
    def run_instances(original: Callable[..., Any], backend: InstanceBackend, *arguments: Any, **named: Any) -> Any:
        mappings = named.get("block_device_mappings")
        if mappings is None and named.get("launch_template"):
            template = backend._get_template_from_args(named["launch_template"])  # noqa: SLF001
            mappings = template.data.get("BlockDeviceMappings")
        if mappings:
            named["block_device_mappings"] = [_goes_with_the_instance(mapping) for mapping in mappings]
        return original(backend, *arguments, **named)

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
