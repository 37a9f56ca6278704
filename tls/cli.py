"""The command line `python -m tls`: the same code that the deployment runs, by hand and on a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from tls.audit import audit
from tls.cli_inputs import (
    DryRunOption,
    FormatOption,
    ObservationsOption,
    OptionalRequestOption,
    RequesterOption,
    RequestOption,
    StoreOption,
    TrustClockOption,
    load_observations,
    open_store,
    passphrase_source,
    told,
)
from tls.cli_output import Format, mirror_lines, print_result, report_lines, say, status_lines
from tls.cli_rollover import rollover_app
from tls.cli_root import root_app
from tls.errors import InputError
from tls.mirror import mirror
from tls.report import Report
from tls.request import CertificateRequest
from tls.request_file import read_request
from tls.retirement import retire as retire_unused
from tls.sources import Sources
from tls.status import take_status
from tls.steps import Issuer, bring_about

app = typer.Typer(
    name="tls",
    help="Issue, store, renew, roll over and prove the certificates of one environment. Exit codes: 0 good, 1 found wanting, "
    "2 bad input or usage. The passphrase of the authority is FLEET_CA_PASSPHRASE, or asked for where the store is a directory.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(rollover_app, name="rollover")
app.add_typer(root_app, name="root")


@app.command()
def issue(
    store: StoreOption,
    request: RequestOption,
    requester: RequesterOption,
    *,
    form: FormatOption = Format.TEXT,
    dry_run: DryRunOption = False,
    trust_clock: TrustClockOption = False,
) -> None:
    """Make the store hold what is asked for: issue what is missing, changed, damaged or due, and nothing else."""
    with told():
        report = bring_about(
            _issuer(store, requester), read_request(request), dry_run=dry_run, trusts_clock=trust_clock
        )
        _end(report, form)


@app.command()
def renew(
    store: StoreOption,
    request: RequestOption,
    requester: RequesterOption,
    places: Annotated[
        list[str] | None, typer.Argument(help="server/NODE, route/NODE or client/NAME", metavar="PLACE")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Renew every certificate.")] = False,
    form: FormatOption = Format.TEXT,
    dry_run: DryRunOption = False,
    trust_clock: TrustClockOption = False,
) -> None:
    """Issue certificates anew, whatever their age."""
    with told():
        wanted = read_request(request)
        if every == bool(places):
            raise InputError("name what is to be renewed, or give --all")
        forced = [leaf.prefix for leaf in wanted.leaves] if every else _prefixes(places or ())
        report = bring_about(
            _issuer(store, requester), wanted, forced=forced, dry_run=dry_run, trusts_clock=trust_clock
        )
        _end(report, form)


@app.command()
def status(
    store: StoreOption,
    request: OptionalRequestOption = None,
    observations: ObservationsOption = None,
    *,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show each certificate, its days, where it is served, and whether store and wire agree."""
    with told():
        wanted = None if request is None else read_request(request)
        found = take_status(open_store(store), wanted, load_observations(observations), Sources().now())
        print_result(form, found.to_plain(), status_lines(found))
        raise typer.Exit(found.exit_code)


@app.command()
def verify(store: StoreOption, request: RequestOption, *, form: FormatOption = Format.TEXT) -> None:
    """Prove all that the store holds: keys, chains, dates, names, usages, bundles, checksums."""
    with told():
        wanted = read_request(request)
        findings = audit(open_store(store), wanted, Sources().now())
        verdict = (
            f"{len(findings)} findings" if findings else f"{len(wanted.leaves)} certificates are as they should be"
        )
        print_result(form, {"findings": findings}, [*findings, verdict])
        raise typer.Exit(1 if findings else 0)


@app.command()
def publish(
    store: StoreOption,
    request: RequestOption,
    to: Annotated[str, typer.Option("--to", help="DIR or s3://BUCKET", metavar="STORE")],
    *,
    form: FormatOption = Format.TEXT,
    dry_run: DryRunOption = False,
) -> None:
    """Publish what one store holds to another one, proved first; the authority's keys stay where they are."""
    with told():
        mirrored = mirror(open_store(store), open_store(to), read_request(request), Sources().now(), dry_run=dry_run)
        plain = {
            "dry_run": dry_run,
            "authority": mirrored.authority,
            "published": list(mirrored.published),
            "unchanged": mirrored.unchanged,
        }
        print_result(form, plain, mirror_lines(mirrored, dry_run=dry_run))


@app.command()
def retire(
    store: StoreOption,
    request: RequestOption,
    unused: Annotated[
        list[str] | None,
        typer.Option(
            "--unused", help="What no running task uses: client/NAME and so on; once for each.", metavar="PLACE"
        ),
    ] = None,
    *,
    form: FormatOption = Format.TEXT,
) -> None:
    """Take away what nobody asks for and nothing uses, and clear away what has expired."""
    with told():
        wanted: CertificateRequest = read_request(request)
        retirement = retire_unused(open_store(store), wanted, unused=_prefixes(unused or ()), now=Sources().now())
        plain = {"retired": list(retirement.retired), "kept": list(retirement.kept)}
        lines = [
            *(f"{place}: retired" for place in retirement.retired),
            *(f"{place}: kept, since nobody said that it is unused" for place in retirement.kept),
        ]
        print_result(form, plain, lines or ["nothing to retire"])


def _issuer(address: str, requester: str) -> Issuer:
    return Issuer(open_store(address), passphrase_source(address), requester, say=say)


def _prefixes(places: Sequence[str]) -> list[str]:
    return [f"{place.rstrip('/')}/" for place in places]


def _end(report: Report, form: Format) -> None:
    print_result(form, report.to_plain(), report_lines(report))
    raise typer.Exit(report.exit_code)
