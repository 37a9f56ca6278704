"""IAM: the tags of an instance profile can be listed.

moto 5.2.5 puts them on and takes them off, and has no ListInstanceProfileTags.
"""

from __future__ import annotations

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse

from local_aws.resources.moto_repairs.patching import add


def list_instance_profile_tags(self: IamResponse) -> ActionResult:
    """ListInstanceProfileTags."""
    profile = self.backend.get_instance_profile(profile_name=self._get_param("InstanceProfileName"))
    return ActionResult({"Tags": profile.tags, "IsTruncated": False})


def apply() -> None:
    """Add the operation."""
    add(IamResponse, list_instance_profile_tags)
