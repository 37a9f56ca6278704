"""`fleet certs`: the certificates of an environment, by the same code as `python -m tls` and the deployment's function."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from catalog import load_catalog, load_environment, names
from fleet.certs import Certificates, open_certificates
from fleet.cli.ask import confirm
from fleet.cli.options import DEFAULT_CATALOG, CatalogOption, EnvOption, YesOption
from fleet.cli.output import new_app, say
from fleet.errors import FleetError, InputError, WantingError
from tls import (
    AuthorityRecord,
    Observations,
    Phase,
    Report,
    Sources,
    TlsError,
    advance,
    audit,
    begin,
    bring_about,
    export_root_key,
    go_back,
    mirror,
    remove_root_key,
    require_record,
    restore_root_key,
    take_status,
)
from tls.cli_inputs import ObservationsOption, TrustClockOption, load_observations
from tls.cli_output import Format, mirror_lines, print_result, report_lines, status_lines
from tls.cli_rollover import phase_told

StoreOption = Annotated[
    str | None, typer.Option("--store", help="DIR or s3://BUCKET; the environment's own bucket where it is missing.")
]
FormOption = Annotated[Format, typer.Option("--format", help="How the result is printed.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]

_DAILY = "the daily run, and the end of a deployment, takes it away once no task uses it"

app = new_app("Issue, renew and look at the certificates of an environment.")


@app.command()
def issue(
    *,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    trust_clock: TrustClockOption = False,
    form: FormOption = Format.TEXT,
) -> None:
    """Issue what the catalog asks for and the store lacks, and what is due, nothing else; and deliver it to the nodes."""
    with _told():
        certificates = open_certificates(load_catalog(catalog), load_environment(env), store)
        issuer = certificates.issuer(_caller(), say)
        _end(bring_about(issuer, certificates.request, dry_run=dry_run, trusts_clock=trust_clock), form)


@app.command()
def renew(
    places: Annotated[
        list[str] | None, typer.Argument(help="server/NODE, route/NODE or client/NAME", metavar="PLACE")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Renew every certificate.")] = False,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    trust_clock: TrustClockOption = False,
    form: FormOption = Format.TEXT,
) -> None:
    """Issue certificates anew, whatever their age, and deliver them to the nodes."""
    with _told():
        if every == bool(places):
            raise InputError("name what is to be renewed, or give --all")
        certificates = open_certificates(load_catalog(catalog), load_environment(env), store)
        forced = _known(certificates, places or ()) if places else [leaf.prefix for leaf in certificates.request.leaves]
        issuer = certificates.issuer(_caller(), say)
        report = bring_about(issuer, certificates.request, forced=forced, dry_run=dry_run, trusts_clock=trust_clock)
        _end(report, form)


@app.command()
def status(
    *,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    store: StoreOption = None,
    form: FormOption = Format.TEXT,
) -> None:
    """Show each certificate, the days that it has left and who serves it; exit 1 where one is missing, late or superfluous."""
    with _told():
        certificates = open_certificates(load_catalog(catalog), load_environment(env), store)
        seen = certificates.observe()
        found = take_status(certificates.store, certificates.request, seen.observations, Sources().now())
        print_result(form, {**found.to_plain(), "not_seen": list(seen.silent)}, status_lines(found))
        for line in seen.silent:
            say(f"not seen: {line}")
        wanting = found.exit_code or (1 if seen.observations and seen.silent else 0)
        raise typer.Exit(wanting)


@app.command()
def verify(
    *,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    store: StoreOption = None,
    form: FormOption = Format.TEXT,
) -> None:
    """Prove all that the store holds: keys, chains, dates, names, usages, bundles, checksums."""
    with _told():
        certificates = open_certificates(load_catalog(catalog), load_environment(env), store)
        findings = audit(certificates.store, certificates.request, Sources().now())
        good = f"{len(certificates.request.leaves)} certificates are as they should be"
        print_result(form, {"findings": findings}, [*findings, f"{len(findings)} findings" if findings else good])
        raise typer.Exit(1 if findings else 0)


@app.command()
def publish(
    source: Annotated[str, typer.Option("--from", help="The directory, or s3://BUCKET, to publish from.")],
    *,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    form: FormOption = Format.TEXT,
) -> None:
    """Publish what another store holds to this one, proved first; the authority's keys stay where they are."""
    with _told():
        loaded, environment = load_catalog(catalog), load_environment(env)
        target = open_certificates(loaded, environment, store)
        origin = open_certificates(loaded, environment, source)
        mirrored = mirror(origin.store, target.store, target.request, Sources().now(), dry_run=dry_run)
        plain = {
            "dry_run": dry_run,
            "authority": mirrored.authority,
            "published": list(mirrored.published),
            "unchanged": mirrored.unchanged,
        }
        print_result(form, plain, mirror_lines(mirrored, dry_run=dry_run))


rollover_app = new_app("Replace the authority without a refused connection, phase by phase; deploy between the phases.")
app.add_typer(rollover_app, name="rollover")


@rollover_app.command("begin")
def rollover_begin(
    *,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    store: StoreOption = None,
    keep_root: Annotated[
        bool, typer.Option("--keep-root", help="Keep the root, whose key must be online; never after a key was lost.")
    ] = False,
    yes: YesOption = False,
    form: FormOption = Format.TEXT,
) -> None:
    """Make a new authority and have it trusted beside the old one."""
    with _told():
        certificates = open_certificates(load_catalog(catalog), load_environment(env), store)
        _agreed(env, "begin to replace the certificate authority", yes=yes)
        record = begin(
            certificates.store,
            certificates.request,
            passphrase=certificates.passphrase,
            sources=Sources(),
            requester=_caller(),
            keeps_root=keep_root,
        )
        _show_phase(record, form)


@rollover_app.command("advance")
def rollover_advance(
    to: Annotated[Phase, typer.Option("--to", help="The phase to begin.")],
    *,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    store: StoreOption = None,
    observations: ObservationsOption = None,
    yes: YesOption = False,
    form: FormOption = Format.TEXT,
) -> None:
    """Begin the next phase, if what is served proves that it may; the nodes are asked unless a file tells."""
    with _told():
        certificates = open_certificates(load_catalog(catalog), load_environment(env), store)
        seen = _seen(certificates, observations)
        if seen is None:
            raise InputError("nobody could look at the wire; give what was seen: --observations FILE")
        _agreed(env, f"begin the phase {to}", yes=yes)
        _show_phase(advance(certificates.store, to, seen, Sources().now()), form)


@rollover_app.command("back")
def rollover_back(
    *,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    store: StoreOption = None,
    observations: ObservationsOption = None,
    yes: YesOption = False,
    form: FormOption = Format.TEXT,
) -> None:
    """Take a step back: have the old authority issue again, or give the new one up."""
    with _told():
        certificates = open_certificates(load_catalog(catalog), load_environment(env), store)
        seen = _seen(certificates, observations)
        _agreed(env, "take the rollover a step back", yes=yes)
        _show_phase(go_back(certificates.store, seen, Sources().now()), form)


@rollover_app.command("status")
def rollover_status(
    *,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    store: StoreOption = None,
    form: FormOption = Format.TEXT,
) -> None:
    """Show the phase, whom everybody trusts, who issues, and what comes next."""
    with _told():
        certificates = open_certificates(load_catalog(catalog), load_environment(env), store)
        _show_phase(require_record(certificates.store).record, form)


root_app = new_app("Keep the root's key offline: export, remove; restore it for a rollover that keeps the root.")
app.add_typer(root_app, name="root")
ExportedArgument = Annotated[Path, typer.Argument(help="The file of the exported key.", metavar="FILE")]


@root_app.command("export")
def root_export(
    file: ExportedArgument,
    *,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    store: StoreOption = None,
    form: FormOption = Format.TEXT,
) -> None:
    """Write the root's key, encrypted as it is, to a new file."""
    with _told():
        certificates = open_certificates(load_catalog(catalog), load_environment(env), store)
        export_root_key(certificates.store, certificates.passphrase, file)
        print_result(form, {"exported": str(file)}, [f"the root's key is in {file}; keep it apart from its passphrase"])


@root_app.command("remove")
def root_remove(
    file: ExportedArgument,
    *,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    store: StoreOption = None,
    yes: YesOption = False,
    form: FormOption = Format.TEXT,
) -> None:
    """Remove the root's key from the store, with every version, after a proof that FILE holds it and opens."""
    with _told():
        certificates = open_certificates(load_catalog(catalog), load_environment(env), store)
        _agreed(env, "take the root's key offline", yes=yes)
        was_there = remove_root_key(certificates.store, certificates.passphrase, file)
        told = "the root's key is offline now" if was_there else "the root's key was offline already"
        print_result(form, {"root_key_is_online": False, "changed": was_there}, [told])


@root_app.command("restore")
def root_restore(
    file: ExportedArgument,
    *,
    env: EnvOption = "local",
    catalog: CatalogOption = DEFAULT_CATALOG,
    store: StoreOption = None,
    form: FormOption = Format.TEXT,
) -> None:
    """Bring the root's key back from FILE."""
    with _told():
        certificates = open_certificates(load_catalog(catalog), load_environment(env), store)
        was_gone = restore_root_key(certificates.store, certificates.passphrase, file)
        told = "the root's key is online again" if was_gone else "the root's key was online already"
        print_result(form, {"root_key_is_online": True, "changed": was_gone}, [told])


def _seen(certificates: Certificates, given: Path | None) -> Observations | None:
    """Return what was seen: as a file tells, or as the nodes do."""
    if given is not None:
        return load_observations(given)
    seen = certificates.observe()
    for line in seen.silent:
        say(f"not seen: {line}")
    return seen.observations


def _agreed(env: str, what: str, *, yes: bool) -> None:
    """Ask before something is changed in production.

    Raises:
        InputError: Nobody says yes.
    """
    if env == names.PRODUCTION and not yes and not confirm(f"{what} in {env}?"):
        raise InputError("nothing was done")


def _show_phase(record: AuthorityRecord, form: Format) -> None:
    plain, lines = phase_told(record)
    print_result(form, plain, lines)


def _known(certificates: Certificates, places: list[str] | tuple[str, ...]) -> list[str]:
    prefixes = {leaf.prefix for leaf in certificates.request.leaves}
    wanted = [f"{place.rstrip('/')}/" for place in places]
    if unknown := [prefix.rstrip("/") for prefix in wanted if prefix not in prefixes]:
        raise InputError(f"the catalog asks for no certificate at {', '.join(unknown)}")
    return wanted


def _caller() -> str:
    return f"fleet certs ({getpass.getuser()})"


def _end(report: Report, form: Format) -> None:
    print_result(form, report.to_plain(), report_lines(report, superfluous=_DAILY))
    raise typer.Exit(report.exit_code)


@contextmanager
def _told() -> Iterator[None]:
    """Tell an error of the certificate authority as this command tells its own."""
    try:
        yield
    except TlsError as error:
        told: type[FleetError] = InputError if error.exit_code == InputError.exit_code else WantingError
        raise told(str(error)) from error
