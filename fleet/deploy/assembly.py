"""What a synthesis wrote: the stacks of an environment, as the CDK CLI names them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import WantingError


@dataclass(frozen=True, slots=True)
class AssemblyStack:
    """One stack of an assembly."""

    name: str
    """Its name in CloudFormation."""
    selector: str
    """What the CDK CLI takes to choose it."""
    template: Path

    def path_of(self, logical_id: str) -> str:
        """Return where a resource stands in the app, which says more to a reader than its logical id."""
        resource = json.loads(self.template.read_text(encoding="utf-8"))["Resources"].get(logical_id, {})
        path = str(resource.get("Metadata", {}).get("aws:cdk:path", logical_id))
        # `Resource` is what constructs call that which they mainly are.
        return re.sub(r"(/Resource)+$", "", path.removeprefix(f"{self.selector}/"))


def read_assembly(directory: Path) -> dict[str, AssemblyStack]:
    """Return the stacks of an assembly by their names.

    Raises:
        WantingError: It cannot be read.
    """
    try:
        artifacts = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))["artifacts"]
    except (OSError, ValueError, KeyError) as error:
        raise WantingError(f"the synthesis left no assembly in {directory}: {error}") from error
    stacks = {}
    for artifact_id, artifact in artifacts.items():
        if artifact["type"] != "aws:cloudformation:stack":
            continue
        properties = artifact["properties"]
        name = properties.get("stackName", artifact_id)
        stacks[name] = AssemblyStack(
            name, artifact.get("displayName", artifact_id), directory / properties["templateFile"]
        )
    return stacks
