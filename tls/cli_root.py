"""`python -m tls root`: take the root's key offline, and bring it back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tls.cli_inputs import FormatOption, StoreOption, open_store, passphrase_source, told
from tls.cli_output import Format, print_result
from tls.root_key import export_root_key, remove_root_key, restore_root_key

root_app = typer.Typer(
    help="Keep the root's key offline: export, remove; restore it for a rollover that keeps the root.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
ExportedArgument = Annotated[Path, typer.Argument(help="The file of the exported key.", metavar="FILE")]


@root_app.command("export")
def export_key(store: StoreOption, file: ExportedArgument, *, form: FormatOption = Format.TEXT) -> None:
    """Write the root's key, encrypted as it is, to a new file."""
    with told():
        export_root_key(open_store(store), passphrase_source(store), file)
        text = f"the root's key is in {file}; keep it apart from its passphrase"
        print_result(form, {"exported": str(file)}, [text])


@root_app.command()
def remove(store: StoreOption, file: ExportedArgument, *, form: FormatOption = Format.TEXT) -> None:
    """Remove the root's key from the store, after a proof that FILE holds it and opens."""
    with told():
        was_there = remove_root_key(open_store(store), passphrase_source(store), file)
        text = "the root's key is offline now" if was_there else "the root's key was offline already"
        print_result(form, {"root_key_is_online": False, "changed": was_there}, [text])


@root_app.command()
def restore(store: StoreOption, file: ExportedArgument, *, form: FormatOption = Format.TEXT) -> None:
    """Bring the root's key back from FILE."""
    with told():
        was_gone = restore_root_key(open_store(store), passphrase_source(store), file)
        text = "the root's key is online again" if was_gone else "the root's key was online already"
        print_result(form, {"root_key_is_online": True, "changed": was_gone}, [text])
