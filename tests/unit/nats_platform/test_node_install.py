"""Releases of the server on a machine: which one starts next, and which ones stay."""

from __future__ import annotations

import os
from pathlib import Path

from nats_platform.node.install import Archive, install_server
from nats_platform.node.settings import Settings

NAMES = ("NODE", "NODES", "ENVIRONMENT", "REGION", "BUCKET", "CERTIFICATES_BUCKET", "NODE_DOMAIN", "LOG_GROUP")


def test_a_machine_goes_back_to_an_old_release_and_keeps_that_and_the_last_two(tmp_path: Path) -> None:
    settings = Settings.told({**dict.fromkeys(NAMES, "x"), "ROOT": str(tmp_path)})
    releases = [tmp_path / "opt/nats/releases" / (f"{number}" * 64) for number in range(4)]
    for age, release in enumerate(reversed(releases)):
        release.mkdir(parents=True)
        (release / "nats-server").touch()
        os.utime(release, (1000 - age, 1000 - age))
    oldest, older, *last = releases

    told = install_server(settings, Archive("bucket", "key", oldest.name))

    assert told == f"installed {oldest.name[:12]}"
    assert settings.program.resolve() == oldest / "nats-server"
    assert not older.exists()
    assert all(release.exists() for release in (oldest, *last))
    assert install_server(settings, Archive("bucket", "key", oldest.name)) == f"has {oldest.name[:12]}"
