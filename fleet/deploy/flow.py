"""`make deploy`, step by step: the same path for the local AWS and for AWS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from catalog import names
from catalog.catalog import Catalog
from catalog.environment import Environment
from fleet.account import Account, local_account, open_account
from fleet.deploy.assembly import AssemblyStack, read_assembly
from fleet.deploy.cdk import CdkCli, complaint
from fleet.deploy.preflight import check_account
from fleet.deploy.stacks import BOOTSTRAP_STACK, DeployedStack, Failure, clock, failures, read_stacks, settle
from fleet.errors import InputError, WantingError
from fleet.images.check import check_images
from fleet.images.push import push_images
from fleet.images.required import required_images
from fleet.inputs import missing_inputs, required_inputs
from fleet.local.plane.client import LocalPlane
from fleet.local.plane.ready import wait_until_ready
from fleet.local.plane.up import start_plane
from fleet.local.seed import seed, seed_secrets
from fleet.local.server import ENVIRONMENT, LocalAws
from fleet.nats import retire_unused
from fleet.progress import Progress, Step

IMAGES_PART = "images"


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be deployed, and how."""

    catalog: Catalog
    catalog_path: Path
    environment: Environment
    verbose: bool
    check_can_ask: Callable[[], None] | None = None
    """Raises where nobody could answer, before the work that leads up to the question."""
    confirm: Callable[[str], bool] | None = None
    """Asks before the first change in AWS; nothing is asked where it is missing."""
    plane: LocalPlane | None = None
    """What runs the local environment's tasks; without, nothing of it runs."""


class DeploymentFailedError(WantingError):
    """The CDK CLI could not deploy everything.

    Args:
        output: What the CLI said of it.
        found: The resources that failed.
    """

    def __init__(self, output: list[str], found: list[Failure]) -> None:
        self.output = output
        self.failures = found
        said = "\n".join(f"  {line}" for line in output if line.strip())
        listed = "\n".join(f"  - {one.stack}: {one.resource} ({one.type})\n    {one.reason}" for one in found)
        why = f"the deployment failed; what failed first, and why:\n{listed}" if found else "the deployment failed"
        super().__init__(f"{why}\n  mend it and run the same command again" if found else f"{why}\n{said}")


def deploy(request: Request, progress: Progress) -> Account:
    """Deploy an environment and return its account; the verification is the caller's next step.

    Raises:
        InputError: The account is not prepared, or nobody said yes.
        WantingError: The deployment failed.
    """
    account = _local(request, progress) if request.environment.name == ENVIRONMENT else _aws(request, progress)
    cdk = CdkCli(request.environment, request.catalog_path, account, verbose=request.verbose)
    with progress.step("synthesise the stacks") as step:
        written = cdk.synth(step)
        stacks = read_assembly(cdk.assembly)
        step.outcome(
            f"{len(stacks)} stacks" if written else f"{len(stacks)} stacks, as they were: their input is unchanged"
        )
    if not account.is_local:
        _ask(request, cdk, progress)
    with progress.step("look at what is deployed") as step:
        before = settle(account, request.environment.name, step)
        step.outcome(f"{len(before)} stacks")
    _provide_images(request, account, cdk, stacks, progress)
    with progress.step(f"deploy {len(stacks)} stacks") as step:
        _run_deployment(account, cdk, list(stacks.values()), step)
        step.outcome(_changes(before, read_stacks(account), stacks))
    if account.is_local and request.plane:
        with progress.step("wait until what is deployed runs") as step:
            wait_until_ready(request.plane.asked(), step)
    with progress.step("retire what no task uses any more") as step:
        step.outcome(", ".join(retire_unused(account, request.environment)) or "nothing")
    return account


def _local(request: Request, progress: Progress) -> Account:
    """Bring the local AWS to where an account's owner would have brought theirs."""
    with progress.step("start the local AWS") as step:
        account = local_account(LocalAws().start(step))
    if request.plane:
        start_plane(request.plane, account, progress)
    if BOOTSTRAP_STACK not in read_stacks(account):
        with progress.step("prepare it for the CDK") as step:
            CdkCli(request.environment, request.catalog_path, account, verbose=request.verbose).bootstrap(
                account.account_id, step
            )
    if made := seed_secrets(account, request.catalog):
        progress.note(f"put stand-ins for secrets that services take from elsewhere: {', '.join(made)}")
    missing = missing_inputs(account, required_inputs(request.catalog, request.environment))
    if missing:
        with progress.step("put stand-ins for the account's inputs") as step:
            seed(account, missing)
            step.outcome(", ".join(wanted.parameter for wanted in missing))
    return account


def _aws(request: Request, progress: Progress) -> Account:
    environment = request.environment
    with progress.step(f"look at the account of {environment.name}") as step:
        account = open_account(environment)
        check_account(account, request.catalog, environment, read_stacks(account))
        step.outcome(f"account {account.account_id}, {account.region}")
    if request.check_can_ask:
        request.check_can_ask()
    return account


def _ask(request: Request, cdk: CdkCli, progress: Progress) -> None:
    with progress.step("compare with what is deployed") as step:
        changes = cdk.diff(step)
    progress.note(changes)
    if request.confirm and not request.confirm(f"deploy this to {request.environment.name}?"):
        raise InputError("nothing was deployed")


def _provide_images(
    request: Request, account: Account, cdk: CdkCli, stacks: dict[str, AssemblyStack], progress: Progress
) -> None:
    """See that every image is there before anything runs it: a service never waits for one."""
    required = required_images(request.catalog, request.environment.name)
    missing = [finding for finding in check_images(account, required) if finding.missing]
    if not missing:
        return
    images_stack = stacks[names.stack(request.environment.name, IMAGES_PART)]
    with progress.step("deploy the image repositories") as step:
        _run_deployment(account, cdk, [images_stack], step, only=True)
    push_images(account, [finding.image for finding in missing], progress)
    still = [finding for finding in check_images(account, required) if finding.missing]
    if still:
        listed = "\n".join(f"  - {finding.image.reference}: {finding.missing}" for finding in still)
        raise WantingError(f"images are missing, so nothing that runs them is deployed\n{listed}")


def _run_deployment(
    account: Account, cdk: CdkCli, stacks: list[AssemblyStack], step: Step, *, only: bool = False
) -> None:
    began = clock(account)
    ended = cdk.deploy(step, [stack.selector for stack in stacks] if only else ())
    if ended.code:
        raise DeploymentFailedError(complaint(ended.lines), failures(account, stacks, began))


def _changes(
    before: dict[str, DeployedStack], after: dict[str, DeployedStack], stacks: dict[str, AssemblyStack]
) -> str:
    changed = [name for name in stacks if name not in before or after[name].changed != before[name].changed]
    if not changed:
        return "nothing to change"
    created = sum(name not in before for name in changed)
    parts = {"created": created, "updated": len(changed) - created, "unchanged": len(stacks) - len(changed)}
    return ", ".join(f"{count} {what}" for what, count in parts.items() if count)
