"""The CDK CLI as a program that is run: its arguments, its process environment and what it prints."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from catalog.environment import Environment
from fleet import project
from fleet.account import Account
from fleet.children import Ended, run_child
from fleet.deploy.freshness import input_digest, is_fresh, mark_fresh, mark_stale
from fleet.errors import InputError, WantingError
from fleet.local.server import environment_for
from fleet.progress import Step

SYNTH_SECONDS = 300
BOOTSTRAP_SECONDS = 900
DIFF_SECONDS = 900
LOCAL_DEPLOY_SECONDS = 1200
# CloudFormation itself gives up on an ECS service after three hours.
AWS_DEPLOY_SECONDS = 4 * 3600
_CONCURRENCY = "4"
_HEARTBEAT_SECONDS = 20
_STACK_ENDED = re.compile(r"^\s*[✅❌]\s+\S")
_ERROR_BEGINS = re.compile(r"❌|^\s*\[Error|Error:")


class CdkCli:
    """The pinned CDK CLI for one environment.

    Args:
        environment: The environment that it works on.
        catalog: The catalog's file.
        account: Where it deploys to; a synthesis needs none.
        verbose: Show everything that it prints.
        assembly: Where the templates are written; where a deployment takes them from, if left out.
        reuse: Keep an assembly whose input is unchanged, as is always done for the local AWS.
    """

    def __init__(
        self,
        environment: Environment,
        catalog: Path,
        account: Account | None = None,
        *,
        verbose: bool = False,
        assembly: Path | None = None,
        reuse: bool = False,
    ) -> None:
        self._environment = environment
        self._catalog = catalog
        self._account = account
        self._verbose = verbose
        self.assembly = assembly or project.assembly(environment.name)
        self._reuse = reuse or (account is not None and account.is_local)
        if not project.CDK_CLI.is_file():
            raise InputError("the CDK command line is not installed\n  install it: make setup")

    def synth(self, step: Step) -> bool:
        """Write the templates, once: what is shown, checked and deployed afterwards is this very assembly.

        Returns:
            Whether anything had to be written.
        """
        digest = input_digest(self._environment.name, self._catalog)
        if self._reuse and is_fresh(self.assembly, digest):
            return False
        mark_stale(self.assembly)
        context = ["-c", f"env={self._environment.name}", "-c", f"catalog={self._catalog.resolve()}"]
        ended = self._run("synth", ["synth", "--quiet", "--output", str(self.assembly), *context], SYNTH_SECONDS, step)
        if ended.code:
            raise WantingError(f"the synthesis failed\n{_indented(ended.lines)}")
        for line in ended.lines:
            if "[Warning" in line:
                step.note(line.strip())
        mark_fresh(self.assembly, digest)
        return True

    def bootstrap(self, account_id: str, step: Step) -> None:
        """Prepare an account and region for the CDK."""
        target = f"aws://{account_id}/{self._environment.region}"
        # Elsewhere than where `cdk.json` names our app, which the CLI would run for nothing.
        ended = self._run("bootstrap", ["bootstrap", target], BOOTSTRAP_SECONDS, step, directory=project.STATE)
        if ended.code:
            raise WantingError(f"the bootstrap of {target} failed\n{_indented(complaint(ended.lines))}")

    def diff(self, step: Step) -> str:
        """Return what a deployment of the assembly would change; only templates are compared, and nothing is touched."""
        ended = self._run("diff", ["diff", "--app", str(self.assembly), "--method", "template"], DIFF_SECONDS, step)
        if ended.code:
            raise WantingError(f"the comparison failed\n{_indented(complaint(ended.lines))}")
        return "\n".join(ended.lines)

    def deploy(self, step: Step, selectors: Sequence[str] = ()) -> Ended:
        """Deploy the assembly: all of it, or the stacks that are named and no other."""
        chosen = [*selectors, "--exclusively"] if selectors else ["--all"]
        arguments = ["deploy", *chosen, "--app", str(self.assembly), "--require-approval", "never",
                     "--concurrency", _CONCURRENCY, "--asset-parallelism", "--progress", "events"]  # fmt: skip
        return self._run("deploy", arguments, self._deploy_seconds(), step)

    def destroy(self, step: Step) -> Ended:
        """Remove every stack of the assembly."""
        arguments = ["destroy", "--all", "--force", "--app", str(self.assembly), "--concurrency", _CONCURRENCY]
        return self._run("destroy", arguments, self._deploy_seconds(), step)

    def _deploy_seconds(self) -> int:
        return LOCAL_DEPLOY_SECONDS if self._account and self._account.is_local else AWS_DEPLOY_SECONDS

    def _run(
        self, name: str, arguments: Sequence[str], deadline_seconds: int, step: Step, directory: Path = project.ROOT
    ) -> Ended:
        log = project.log(f"cdk-{name}-{self._environment.name}")
        ended = run_child(
            ["node", str(project.CDK_CLI), *arguments, "--no-notices", "--no-color", "--ci"],
            directory=directory,
            environment=self._process_environment(),
            deadline_seconds=deadline_seconds,
            log=log,
            on_line=step.note if self._verbose else _teller(step),
            on_silence=_heartbeat(step, log),
        )
        if ended.timed_out:
            raise WantingError(
                f"cdk {name} had not ended after {deadline_seconds} s and was ended\n{_indented(ended.lines[-20:])}\n  the whole log: {log}"
            )
        return ended

    def _process_environment(self) -> dict[str, str]:
        server = self._account.server if self._account else None
        base = environment_for(server) if server else {**os.environ, "AWS_REGION": self._environment.region}
        base.pop("PYTHONDONTWRITEBYTECODE", None)
        return {**base, "PATH": project.tool_path(), "CDK_DISABLE_CLI_TELEMETRY": "true", "NO_COLOR": "1"}


def _teller(step: Step) -> Callable[[str], None]:
    """Return what turns the CLI's output into a line a stack."""

    def tell(line: str) -> None:
        if _STACK_ENDED.match(line):
            step.note(line.strip())

    return tell


def _heartbeat(step: Step, log: Path) -> Callable[[float], None]:
    """Return what says now and then that a silent program is still at work."""
    told = 0.0

    def beat(elapsed: float) -> None:
        nonlocal told
        if elapsed - told >= _HEARTBEAT_SECONDS:
            told = elapsed
            step.note(f"… {elapsed:.0f} s; every event stands in {log}")

    return beat


def complaint(lines: Sequence[str]) -> list[str]:
    """Return what the CLI says of a failure, from its first complaint to its end."""
    start = next((number for number, line in enumerate(lines) if _ERROR_BEGINS.search(line)), max(0, len(lines) - 20))
    return list(lines[start:])


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}" for line in lines if line.strip())
