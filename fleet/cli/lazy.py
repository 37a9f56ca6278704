"""A group whose commands are imported when they are called: each pays only for what it uses."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

from typer.core import TyperGroup
from typer.main import get_command

from fleet.cli.errors import told


class LazyCommand(NamedTuple):
    """Where a command lives; its module has a Typer app named `app`, with one command or several."""

    module: str
    summary: str


class LazyGroup(TyperGroup):
    """The group of `fleet`'s commands; an error that is the user's ends each without a traceback."""

    lazy_commands: ClassVar[dict[str, LazyCommand]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands' names."""
        del ctx
        return list(self.lazy_commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command."""
        del ctx
        if cmd_name not in self.lazy_commands:
            return None
        command = get_command(import_module(self.lazy_commands[cmd_name].module).app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments begin with, and suggest one where there is none."""
        given = args[0]
        if given not in self.lazy_commands and not given.startswith("-"):
            near = get_close_matches(given, self.lazy_commands, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"there is no command {given!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in self.lazy_commands.items()])

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with told():
            return super().invoke(ctx)
