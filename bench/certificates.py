"""How long the certificates of a whole environment take, against the `openssl` command line doing the same.

A root, three issuing authorities, 6 certificates of nodes and 26 of clients: keys made, certificates signed with the same
extensions, each verified for its purpose and name, all of it written to a directory. `openssl` takes a process for each of these
steps; ours also syncs every file to the disk, keeps a log and a manifest, and verifies by two sets of rules. Both run in turns in
one series, since the machine may be busy.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tls import CertificateRequest, DirectoryStore, Issuer, Passphrase, Profile, bring_about
from tls.request import Leaf

ROOT = Path(__file__).resolve().parent.parent
RUN_LIMIT_SECONDS = 120
PASSPHRASE = "only for this measurement"  # noqa: S105
SERVICES = 22

REQUEST = CertificateRequest.from_plain(
    {
        "environment": "bench",
        "organization": "bench",
        "client_domain": "svc.bench.internal",
        "node_domain": "nats.bench.internal",
        "nodes": [{"name": f"nats-{number}"} for number in (1, 2, 3)],
        "services": [f"service-{number}" for number in range(1, SERVICES + 1)],
        "identities": ["operator", "provisioner", "loadtest", "metrics"],
    }
)
USAGES = {Profile.SERVER: "serverAuth", Profile.ROUTE: "serverAuth,clientAuth", Profile.CLIENT: "clientAuth"}
IDENTIFIERS = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"


def library(folder: Path) -> None:
    """Do it in this process."""
    bring_about(Issuer(DirectoryStore(folder / "store"), lambda: Passphrase(PASSPHRASE), "bench"), REQUEST)


def command(folder: Path) -> float:
    """Do it as `python -m tls`, its start included; return its peak memory in MiB."""
    request = folder / "request.yaml"
    request.write_text(json.dumps(REQUEST.to_plain()), encoding="utf-8")
    arguments = [
        "-m",
        "tls",
        "issue",
        "--store",
        str(folder / "store"),
        "--request",
        str(request),
        "--requester",
        "bench",
    ]
    child = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "FLEET_CA_PASSPHRASE": PASSPHRASE},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"python -m tls ended with {child.returncode}")
    return usage.ru_maxrss / 1024


def openssl(folder: Path) -> None:
    """Do it with the `openssl` command line."""
    (folder / "root.ext").write_text(
        f"basicConstraints=critical,CA:true,pathlen:1\nkeyUsage=critical,keyCertSign,cRLSign\n{IDENTIFIERS}"
    )
    _key(folder, "root", encrypted=True)
    _request(folder, "root", "root CA", encrypted=True)
    _openssl("x509", "-req", "-in", folder / "root.csr", "-signkey", folder / "root.key", "-passin", f"pass:{PASSPHRASE}",
             "-days", "3650", "-extfile", folder / "root.ext", "-out", folder / "root.crt")  # fmt: skip
    for profile in Profile:
        name = f"{profile}-ca"
        (folder / f"{name}.ext").write_text(
            f"basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n{IDENTIFIERS}"
            f"extendedKeyUsage={USAGES[profile]}\nnameConstraints=critical,permitted;DNS:{REQUEST.domains(profile)[0]}\n"
        )
        _key(folder, name, encrypted=True)
        _request(folder, name, f"{profile} CA", encrypted=True)
        _sign(folder, name, "root", days=730)
    for leaf in REQUEST.leaves:
        _leaf(folder, leaf)


def _leaf(folder: Path, leaf: Leaf) -> None:
    name = f"{leaf.profile}-{leaf.name}"
    (folder / f"{name}.ext").write_text(
        f"basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\n{IDENTIFIERS}"
        f"extendedKeyUsage={USAGES[leaf.profile]}\nsubjectAltName=DNS:{leaf.dns_names[0]}\n"
    )
    _key(folder, name)
    _request(folder, name, leaf.name)
    _sign(folder, name, f"{leaf.profile}-ca", days=30)
    purpose = "sslclient" if leaf.profile is Profile.CLIENT else "sslserver"
    _openssl("verify", "-x509_strict", "-purpose", purpose, "-verify_hostname", leaf.dns_names[0], "-CAfile",
             folder / "root.crt", "-untrusted", folder / f"{leaf.profile}-ca.crt", folder / f"{name}.crt")  # fmt: skip


def _key(folder: Path, name: str, *, encrypted: bool = False) -> None:
    cipher = ("-aes-256-cbc", "-pass", f"pass:{PASSPHRASE}") if encrypted else ()
    _openssl(
        "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", *cipher, "-out", folder / f"{name}.key"
    )


def _request(folder: Path, name: str, common_name: str, *, encrypted: bool = False) -> None:
    opened = ("-passin", f"pass:{PASSPHRASE}") if encrypted else ()
    _openssl("req", "-new", "-key", folder / f"{name}.key", *opened, "-subj", f"/O=bench/CN={common_name}", "-out",
             folder / f"{name}.csr")  # fmt: skip


def _sign(folder: Path, name: str, issuer: str, *, days: int) -> None:
    _openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{issuer}.crt", "-CAkey",
             folder / f"{issuer}.key", "-passin", f"pass:{PASSPHRASE}", "-CAcreateserial", "-days", str(days), "-extfile",
             folder / f"{name}.ext", "-out", folder / f"{name}.crt")  # fmt: skip


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=RUN_LIMIT_SECONDS)  # noqa: S607  # the one on PATH is the yardstick


def timed(work: Callable[[Path], object]) -> float:
    """Do it once, into an empty folder; return the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        work(Path(folder))
        return time.perf_counter() - started


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each program")
    rounds = parser.parse_args().rounds
    if shutil.which("openssl") is None:
        print("no openssl on PATH: the certificates are not compared", file=sys.stderr)  # noqa: T201
        return
    series: dict[Callable[[Path], object], list[float]] = {openssl: [], library: [], command: []}
    timed(library)  # the first run fills caches
    for number in range(rounds):
        for work, seconds in series.items():
            seconds.append(timed(work))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)  # noqa: T201
    with tempfile.TemporaryDirectory() as folder:
        peak_mib = command(Path(folder))
    yardstick = series[openssl]
    lines = [f"{'':26} {'median s':>9} {'openssl takes':>14}"]
    for title, work in {"openssl": openssl, "tls, as a library": library, "python -m tls, with start": command}.items():
        ratio = statistics.median(theirs / ours for theirs, ours in zip(yardstick, series[work], strict=True))
        lines.append(f"{title:26} {statistics.median(series[work]):9.2f} {ratio:13.1f}x")
    print("\n".join([*lines, f"peak memory of python -m tls: {peak_mib:.0f} MiB"]))  # noqa: T201


if __name__ == "__main__":
    main()
