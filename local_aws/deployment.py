"""A deployment: what the template asks for is made or changed, in order, and what it no longer asks for is removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from local_aws import changes, graph, steps
from local_aws.errors import ResourceFailedError, TemplateError
from local_aws.intrinsics import resolve, text
from local_aws.model import Output, Resource, Stack, Step
from local_aws.resources.contract import Made
from local_aws.schemas import Schema, schema_for
from local_aws.template import Definition, parse
from local_aws.values import TemplateValues
from local_aws.world import Settled, World


class Deployment:
    """One deployment of a stack, from its present resources to what its settings ask for."""

    def __init__(self, world: World, stack: Stack) -> None:
        if stack.settings is None:
            raise AssertionError("a stack that is deployed has settings")
        self._world = world
        self._stack = stack
        self._tags_changed = stack.stable is not None and stack.stable.tags != stack.settings.tags
        self._settling: list[steps.Settling] = []
        self._values = TemplateValues(world, stack, parse(stack.settings.template_body), stack.settings, self._standing)

    def _standing(self, logical_id: str) -> Made | None:
        resource = self._stack.resources.get(logical_id)
        return resource.made if resource else None

    def apply(self) -> None:
        """Make and change the resources, then settle the outputs; what is no longer wanted becomes garbage.

        Raises:
            ResourceFailedError: a step failed; the journal tells how far it went.
        """
        stack = self._stack
        try:
            active = self._values.active()
            self._bring_all({name: graph.dependencies(each, active.keys()) for name, each in active.items()}, active)
            outputs = self._outputs()
        except TemplateError as error:
            raise ResourceFailedError(str(error)) from error
        with self._world.gate.step(), self._world.lock:
            self._check_exports(outputs)
            stack.outputs = outputs
            stack.imports = frozenset(self._values.used_imports)
            removed = [stack.resources.pop(name) for name in list(stack.resources) if name not in active]
            replaced = [step.before for step in stack.journal if step.kind == "replaced" and step.before is not None]
            stack.garbage = [*stack.garbage, *removed, *replaced]
            stack.journal = []

    def _bring_all(self, needs: Mapping[str, tuple[str, ...]], active: Mapping[str, Definition]) -> None:
        """Bring each resource, in order, but those that stand on one which is not complete yet after those that do not."""
        left = list(active)
        while left:
            waited_for: set[str] = set()
            postponed = []
            for name in left:
                if waited_for.intersection(needs[name]):
                    waited_for.add(name)
                    postponed.append(name)
                    continue
                self._bring(active[name], needs[name])
                if self._settling and self._settling[-1].resource.logical_id == name:
                    waited_for.add(name)
            settling, self._settling = self._settling, []
            steps.settle(self._world, self._stack, settling)
            left = postponed

    def _bring(self, definition: Definition, depends_on: tuple[str, ...]) -> None:
        stack = self._stack
        before = stack.resources.get(definition.logical_id)
        schema = schema_for(definition.type, stack.region)
        try:
            wanted = self._wanted(definition, schema, before, depends_on)
        except TemplateError as error:
            stack.tell(
                before or steps.blank(definition, {}, depends_on),
                "UPDATE_FAILED" if before else "CREATE_FAILED",
                str(error),
            )
            raise
        with self._world.gate.step():
            if before is None or before.made is None:
                self._create(wanted)
            else:
                self._update(before, wanted, schema)

    def _wanted(
        self, definition: Definition, schema: Schema, before: Resource | None, depends_on: tuple[str, ...]
    ) -> Resource:
        properties: Mapping[str, Any] = resolve(dict(definition.properties), self._values)
        # What a resource imports counts at once: the exporting stack may be updated at this very moment.
        self._stack.imports |= frozenset(self._values.used_imports)
        if before is not None:
            changes.check_same_type(before, definition)
        if faults := schema.faults(properties):
            raise TemplateError("; ".join(faults))
        return steps.blank(definition, properties, depends_on)

    def _create(self, wanted: Resource) -> None:
        self._stack.resources[wanted.logical_id] = wanted
        settled = steps.create(self._world, self._stack, wanted)
        self._stack.journal.append(Step("created", None, wanted))
        self._wait_for(wanted, "CREATE", settled)

    def _wait_for(self, resource: Resource, verb: str, settled: Settled | None) -> None:
        if settled is not None:
            self._settling.append(steps.Settling(resource, verb, settled))

    def _update(self, before: Resource, wanted: Resource, schema: Schema) -> None:
        found = changes.differences(schema, before.properties, wanted.properties)
        retag = self._tags_changed and schema.takes_tags
        if any(difference.replaces for difference in found):
            self._replace(before, wanted, schema)
        elif found or retag or before.status == "UPDATE_FAILED":
            self._change(before, wanted)
        elif changes.scope_of(before, wanted, found, tags_changed=False) or before.depends_on != wanted.depends_on:
            wanted.made, wanted.applied, wanted.status = before.made, before.applied, before.status
            self._stack.resources[wanted.logical_id] = wanted
            self._stack.journal.append(Step("noted", before, wanted))

    def _replace(self, before: Resource, wanted: Resource, schema: Schema) -> None:
        if name := changes.blocked_by_name(schema, before.properties, wanted.properties):
            reason = (
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
                f"Rename {name} and update the stack again."
            )
            self._stack.tell(before, "UPDATE_FAILED", reason)
            raise ResourceFailedError(reason)
        reason = "Requested update requires the creation of a new physical resource; hence creating one."
        settled = steps.create(self._world, self._stack, wanted, "UPDATE", reason)
        self._stack.resources[wanted.logical_id] = wanted
        self._stack.journal.append(Step("replaced", before, wanted))
        self._wait_for(wanted, "UPDATE", settled)

    def _change(self, before: Resource, wanted: Resource) -> None:
        before = replace(before)
        try:
            settled = steps.change(self._world, self._stack, before, wanted)
        except ResourceFailedError:
            # Nobody knows how far the handler came, so the way back begins with this resource.
            current = self._stack.resources[wanted.logical_id]
            current.status, current.reason = wanted.status, wanted.reason
            self._stack.journal.append(Step("updated", before, wanted))
            raise
        self._stack.resources[wanted.logical_id] = wanted
        is_other = before.physical_id != wanted.physical_id
        self._stack.journal.append(Step("replaced" if is_other else "updated", before, wanted))
        self._wait_for(wanted, "UPDATE", settled)

    def _outputs(self) -> dict[str, Output]:
        outputs = {}
        for key, written in self._values.outputs():
            export = resolve(written["Export"]["Name"], self._values) if written.get("Export") else None
            value = text(resolve(written["Value"], self._values))
            outputs[key] = Output(key, value, written.get("Description"), export)
        return outputs

    def _check_exports(self, outputs: Mapping[str, Output]) -> None:
        wanted = {output.export: output.value for output in outputs.values() if output.export}
        current = {output.export: output.value for output in self._stack.outputs.values() if output.export}
        for export, value in current.items():
            users = [name for name in self._world.importers(self._stack.region, export) if name != self._stack.name]
            if users and export not in wanted:
                raise ResourceFailedError(f"Export {export} cannot be deleted as it is in use by {', '.join(users)}")
            if users and wanted[export] != value:
                raise ResourceFailedError(f"Export {export} cannot be updated as it is in use by {', '.join(users)}")
        for export, (owner, _) in self._world.exports(self._stack.region).items():
            if export in wanted and owner.id != self._stack.id:
                raise ResourceFailedError(f"Export with name {export} is already exported by stack {owner.name}")


def clean_up(world: World, stack: Stack) -> None:
    """Remove what a successful deployment left over; what cannot be removed is told of and left, as CloudFormation does."""
    for resource in graph.removal_order(stack.garbage):
        is_replaced = resource.logical_id in stack.resources
        policy = resource.update_replace_policy if is_replaced else resource.deletion_policy
        with world.gate.step():
            steps.delete(world, stack, resource, keep=policy != "Delete")
            stack.garbage.remove(resource)
