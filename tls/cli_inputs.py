"""What every command of `python -m tls` takes, and how a fault of the user's is told."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from tls.cli_output import Format, say
from tls.directory_store import DirectoryStore
from tls.errors import InputError, PassphraseError, TlsError
from tls.observations import Observations, observations_from_plain
from tls.request_file import read_plain
from tls.s3_store import S3Store
from tls.secret import Passphrase
from tls.store import Store

PASSPHRASE_VARIABLE = "FLEET_CA_PASSPHRASE"  # noqa: S105  # its name, not itself
_S3 = "s3://"


def _caller() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return f"uid {os.getuid()}"


StoreOption = Annotated[str, typer.Option("--store", help="DIR or s3://BUCKET", metavar="STORE")]
RequestOption = Annotated[
    Path, typer.Option("--request", help="YAML or JSON file of what is asked for.", metavar="FILE")
]
OptionalRequestOption = Annotated[
    Path | None, typer.Option("--request", help="YAML or JSON file of what is asked for.", metavar="FILE")
]
ObservationsOption = Annotated[
    Path | None, typer.Option("--observations", help="YAML or JSON file of what is served.", metavar="FILE")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How results are printed.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]
RequesterOption = Annotated[
    str, typer.Option("--requester", help="Who asks, for the log.", default_factory=_caller, show_default="you")
]
TrustClockOption = Annotated[
    bool, typer.Option("--trust-clock", help="Issue although certificates are there that begin in the future.")
]


@contextmanager
def told() -> Iterator[None]:
    """Turn what went wrong into a message and an exit code; a fault of ours keeps its traceback.

    Raises:
        typer.Exit: Something went wrong.
    """
    try:
        yield
    except TlsError as error:
        say(f"error: {error}")
        raise typer.Exit(error.exit_code) from None


def open_store(address: str) -> Store:
    """Return the store of an address.

    Raises:
        InputError: There is no such kind of store.
    """
    if not address.startswith(_S3):
        if "://" in address:
            raise InputError(f"{address!r} is no store: DIR or {_S3}BUCKET")
        return DirectoryStore(Path(address))
    bucket = address.removeprefix(_S3).rstrip("/")
    if not bucket or "/" in bucket:
        raise InputError(f"{address!r} names no bucket: {_S3}BUCKET, and nothing after it")
    return S3Store(bucket)


def passphrase_source(address: str) -> Callable[[], Passphrase]:
    """Return what gets the passphrase once it is needed: from the environment, for a directory else from the terminal."""

    @cache
    def passphrase() -> Passphrase:
        if text := os.environ.get(PASSPHRASE_VARIABLE):
            return Passphrase(text)
        if address.startswith(_S3) or not _is_terminal():
            raise PassphraseError(f"the passphrase of the authority is needed: set {PASSPHRASE_VARIABLE}")
        return Passphrase(getpass.getpass("passphrase of the authority: "))

    return passphrase


def load_observations(path: Path | None) -> Observations | None:
    """Read the file of `--observations`, if there is one."""
    return None if path is None else observations_from_plain(read_plain(path), where=str(path))


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def require_observations(path: Path | None) -> Observations:
    """Read the file of `--observations`.

    Raises:
        InputError: None was given.
    """
    if (observations := load_observations(path)) is None:
        raise InputError("nothing is taken on trust here: say what is served, by --observations FILE")
    return observations
