"""EC2: an instance is what its template says, and when it is terminated it takes along what came with it.

moto 5.2.5

- takes from a launch template neither interfaces nor profile nor metadata options nor tags;
- starts the machines of an Auto Scaling group from the template's default version, whatever version the group names;
- takes nothing said for «keep it», where AWS removes volumes and interfaces that were made for a terminated instance;
- leaves an interface that is kept attached to an instance that is no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup
from moto.ec2.models.instances import Instance, InstanceBackend

from local_aws.resources.moto_repairs.patching import around

_version: ContextVar[str | None] = ContextVar("_version", default=None)


def _goes_with_the_instance(mapping: dict[str, Any]) -> dict[str, Any]:
    return {**mapping, "Ebs": {"DeleteOnTermination": True, **mapping["Ebs"]}} if "Ebs" in mapping else mapping


def _fill_from_template(backend: Any, named: dict[str, Any], template: Mapping[str, Any]) -> None:
    """Take from the template what the call leaves open; what moto takes itself is left to it."""
    if not named.get("nics") and template.get("NetworkInterfaces"):
        named["nics"] = [dict(nic) for nic in template["NetworkInterfaces"]]
        given = [nic["NetworkInterfaceId"] for nic in named["nics"] if "NetworkInterfaceId" in nic]
        if given:
            named["subnet_id"] = backend.get_network_interface(given[0]).subnet.id
    named["metadata_options"] = named.get("metadata_options") or template.get("MetadataOptions", {})
    if "block_device_mappings" not in named and template.get("BlockDeviceMappings"):
        named["block_device_mappings"] = template["BlockDeviceMappings"]
    for specification in template.get("TagSpecifications", []):
        tags = {tag["Key"]: tag["Value"] for tag in specification.get("Tags", [])}
        own = named.setdefault("tags", {})
        own[specification["ResourceType"]] = {**tags, **own.get(specification["ResourceType"], {})}


def _of_the_group_s_version(original: Callable[..., None], group: FakeAutoScalingGroup, *arguments: Any) -> None:
    token = _version.set(group.launch_template_version)
    try:
        original(group, *arguments)
    finally:
        _version.reset(token)


def _as_the_template_says(original: Callable[..., Any], backend: InstanceBackend, *arguments: Any, **named: Any) -> Any:
    template: Mapping[str, Any] = {}
    if named.get("launch_template"):
        version = _version.get()
        named["launch_template"] = {**({"Version": version} if version else {}), **named["launch_template"]}
        template = backend._get_template_from_args(named["launch_template"]).data  # noqa: SLF001
        _fill_from_template(backend, named, template)
    if named.get("block_device_mappings"):
        named["block_device_mappings"] = [_goes_with_the_instance(one) for one in named["block_device_mappings"]]
    reservation = original(backend, *arguments, **named)
    profile = template.get("IamInstanceProfile")
    if profile and not named.get("iam_instance_profile_name") and not named.get("iam_instance_profile_arn"):
        for instance in reservation.instances:
            backend.associate_iam_instance_profile(instance.id, profile.get("Name"), profile.get("Arn"))  # type: ignore[attr-defined]
    return reservation


def _with_interfaces_of_its_own(
    original: Callable[..., None], instance: Instance, nic_spec: list[dict[str, Any]], **named: Any
) -> None:
    own = [nic if "NetworkInterfaceId" in nic else {"DeleteOnTermination": True, **nic} for nic in nic_spec]
    original(instance, own, **named)
    if not nic_spec:
        for nic in instance.nics.values():
            nic.delete_on_termination = True


def _lets_go(original: Callable[..., Any], instance: Instance) -> Any:
    previous = original(instance)
    for nic in [nic for nic in instance.nics.values() if not nic.delete_on_termination]:
        instance.detach_eni(nic)
    return previous


def apply() -> None:
    """Mend the beginning and the end of instances."""
    around(FakeAutoScalingGroup, "replace_autoscaling_group_instances")(_of_the_group_s_version)
    around(InstanceBackend, "run_instances")(_as_the_template_says)
    around(Instance, "prep_nics")(_with_interfaces_of_its_own)
    around(Instance, "terminate")(_lets_go)
