"""Where the names of one template get their values from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from local_aws import graph
from local_aws.errors import TemplateError
from local_aws.intrinsics import NO_VALUE, Unknown, resolve
from local_aws.model import Settings, Stack
from local_aws.resources.contract import Made
from local_aws.template import Definition, Template
from local_aws.world import World

Standing = Callable[[str], Made | Unknown | None]


class TemplateValues:
    """The values of one template in one stack.

    Args:
        standing: tells what a resource of the stack is, or that only execution will tell.
    """

    def __init__(self, world: World, stack: Stack, template: Template, settings: Settings, standing: Standing) -> None:
        self._world = world
        self._stack = stack
        self._template = template
        self._parameters = settings.parameters
        self._standing = standing
        self._conditions: dict[str, bool | None] = {}
        self._zones: dict[str, list[str]] = {}
        self.used_imports: set[str] = set()
        self._pseudo: dict[str, Any] = {
            "AWS::AccountId": stack.account_id,
            "AWS::NoValue": NO_VALUE,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": stack.region,
            "AWS::StackId": stack.id,
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com",
        }

    @property
    def mappings(self) -> Mapping[str, Any]:
        """The template's mappings."""
        return self._template.mappings

    def ref(self, name: str) -> Any:
        """Return the value of a parameter, a pseudo parameter or a resource."""
        if name in self._pseudo:
            return self._pseudo[name]
        if name in self._parameters:
            return self._parameters[name].value
        made = self._made(name)
        return made if isinstance(made, Unknown) else made.physical_id

    def attribute(self, logical_id: str, name: str) -> Any:
        """Return an attribute of a resource."""
        made = self._made(logical_id)
        if isinstance(made, Unknown):
            return made
        if name in made.attributes:
            return made.attributes[name]
        found: Any = made.attributes
        for part in name.split("."):
            if not isinstance(found, Mapping) or part not in found:
                raise TemplateError(
                    f"Template error: resource {logical_id} does not support attribute type {name} in Fn::GetAtt"
                )
            found = found[part]
        return found

    def _made(self, logical_id: str) -> Made | Unknown:
        made = self._standing(logical_id)
        if made is None:
            raise TemplateError(
                f"Template format error: Unresolved resource dependencies [{logical_id}] in the Resources block of the template"
            )
        return made

    def condition(self, name: str) -> bool:
        """Return how a condition of the template came out."""
        if name not in self._template.conditions:
            raise TemplateError(f"Template format error: Unresolved condition dependency {name} in the template")
        if name not in self._conditions:
            self._conditions[name] = None
            self._conditions[name] = resolve(self._template.conditions[name], self) in {True, "true"}
        outcome = self._conditions[name]
        if outcome is None:
            raise TemplateError(f"Template format error: Circular dependency of condition {name}")
        return outcome

    def imported(self, name: str) -> Any:
        """Return the value that another stack exports."""
        exports = self._world.exports(self._stack.region)
        if name not in exports:
            raise TemplateError(f"No export named {name} found.")
        self.used_imports.add(name)
        return exports[name][1].value

    def zones(self, region: str) -> list[str]:
        """Return the availability zones of a region; an empty name means the stack's own."""
        region = region or self._stack.region
        if region not in self._zones:
            self._zones[region] = self._world.zones(region)
        return self._zones[region]

    def active(self) -> dict[str, Definition]:
        """Return the resources whose condition holds, in the order in which they are to be made."""
        wanted = {
            name: definition
            for name, definition in self._template.resources.items()
            if definition.condition is None or self.condition(definition.condition)
        }
        needs = {name: graph.dependencies(definition, wanted.keys()) for name, definition in wanted.items()}
        return {name: wanted[name] for name in graph.in_order(needs)}

    def outputs(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Return the outputs whose condition holds."""
        for key, output in self._template.outputs.items():
            if output.get("Condition") is None or self.condition(output["Condition"]):
                yield key, output

    def check_names(self) -> None:
        """Refuse a template that refers to what it does not have."""
        known = self._template.resources.keys() | self._parameters.keys() | self._pseudo.keys()
        for where, written in self._expressions():
            if unknown := sorted(name for name in graph.references(written) if name not in known):
                raise TemplateError(
                    f"Template format error: Unresolved resource dependencies [{', '.join(unknown)}] in the {where} block of the template"
                )
        for definition in self._template.resources.values():
            if unknown := sorted(set(definition.depends_on) - self._template.resources.keys()):
                raise TemplateError(
                    f"Template format error: Unresolved resource dependencies [{', '.join(unknown)}] in the Resources block of the template"
                )

    def _expressions(self) -> Iterator[tuple[str, Any]]:
        for definition in self._template.resources.values():
            yield "Resources", definition.properties
        for output in self._template.outputs.values():
            yield "Outputs", [output["Value"], output.get("Export")]

    def check_rules(self) -> None:
        """Refuse parameters that the template's rules do not allow."""
        for name, rule in self._template.rules.items():
            if "RuleCondition" in rule and resolve(rule["RuleCondition"], self) is not True:
                continue
            for assertion in rule.get("Assertions", []):
                if resolve(assertion["Assert"], self) is not True:
                    raise TemplateError(
                        f"Template error: rule {name} does not hold: {assertion.get('AssertDescription', 'no description')}"
                    )
