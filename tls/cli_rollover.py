"""`python -m tls rollover`: replace the authority, phase by phase."""

from __future__ import annotations

from typing import Annotated

import typer

from tls.authority_record import AuthorityRecord, Phase
from tls.cli_inputs import (
    FormatOption,
    ObservationsOption,
    RequesterOption,
    RequestOption,
    StoreOption,
    load_observations,
    open_store,
    passphrase_source,
    require_observations,
    told,
)
from tls.cli_output import Format, print_result
from tls.request_file import read_request
from tls.rollover import advance as advance_to
from tls.rollover import begin as begin_rollover
from tls.rollover import go_back
from tls.sources import Sources

rollover_app = typer.Typer(
    help="Replace the authority without a refused connection: begin, then advance phase by phase, `issue` and deliver in between.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_NEXT_STEP = {
    Phase.TRUST_BOTH: "deliver the bundles; once all trust both: rollover advance --to issue-by-new",
    Phase.ISSUE_BY_NEW: "`issue` and deliver; once nobody is on the old one: rollover advance --to nobody-on-old",
    Phase.NOBODY_ON_OLD: "the last chance to go back; then: rollover advance --to steady",
    Phase.STEADY: "deliver the bundles; no rollover is under way",
}


@rollover_app.command()
def begin(
    store: StoreOption,
    request: RequestOption,
    requester: RequesterOption,
    *,
    keep_root: Annotated[
        bool, typer.Option("--keep-root", help="Keep the root, whose key must be online; never after a key was lost.")
    ] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Make a new authority and have it trusted beside the old one."""
    with told():
        record = begin_rollover(
            open_store(store),
            read_request(request),
            passphrase=passphrase_source(store),
            sources=Sources(),
            requester=requester,
            keeps_root=keep_root,
        )
        _show(record, form)


@rollover_app.command()
def advance(
    store: StoreOption,
    to: Annotated[Phase, typer.Option("--to", help="The phase to begin.")],
    observations: ObservationsOption = None,
    *,
    form: FormatOption = Format.TEXT,
) -> None:
    """Begin the next phase, if what is served proves that it may."""
    with told():
        record = advance_to(open_store(store), to, require_observations(observations), Sources().now())
        _show(record, form)


@rollover_app.command()
def back(store: StoreOption, observations: ObservationsOption = None, *, form: FormatOption = Format.TEXT) -> None:
    """Take a step back: have the old authority issue again, or give the new one up."""
    with told():
        _show(go_back(open_store(store), load_observations(observations), Sources().now()), form)


def phase_told(record: AuthorityRecord) -> tuple[dict[str, object], list[str]]:
    """Return how far a rollover is, and what comes next: as plain data, and as lines."""
    trusted = [authority.id for authority in record.authorities]
    plain: dict[str, object] = {
        "phase": str(record.phase),
        "issuing": record.issuing,
        "trusted": trusted,
        "next": _NEXT_STEP[record.phase],
    }
    lines = [
        f"phase {record.phase}: {', '.join(trusted)} trusted, {record.issuing} issues",
        f"next: {_NEXT_STEP[record.phase]}",
    ]
    return plain, lines


def _show(record: AuthorityRecord, form: Format) -> None:
    plain, lines = phase_told(record)
    print_result(form, plain, lines)
