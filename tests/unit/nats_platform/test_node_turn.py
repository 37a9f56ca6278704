"""Changes of one machine wait for one another, and booting tries again: nobody is there at night."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from nats_platform.node import boot as booting
from nats_platform.node import certificates, configuration
from nats_platform.node.configuration import Wanted
from nats_platform.node.deliver_certificates import Machine, RefusedError, alone
from nats_platform.node.settings import Settings
from nats_platform.node.turn import WAIT_SECONDS, turn

NAMES = ("NODE", "NODES", "ENVIRONMENT", "REGION", "BUCKET", "CERTIFICATES_BUCKET", "NODE_DOMAIN", "LOG_GROUP")


def settings(tmp_path: Path) -> Settings:
    made = Settings.told({**dict.fromkeys(NAMES, "x"), "ROOT": str(tmp_path)})
    made.machine.tls.mkdir(parents=True)
    return made


def test_who_comes_second_waits_until_the_first_has_ended(tmp_path: Path) -> None:
    machine: Machine = settings(tmp_path).machine
    first = alone(machine)
    first.__enter__()
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            first.__exit__(None, None, None)

    with turn(machine, sleep=sleep):
        assert len(waited) == 3
        with pytest.raises(RefusedError, match="under way"), alone(machine):
            pass


def test_who_waits_gives_up_at_last(tmp_path: Path) -> None:
    machine, now = settings(tmp_path).machine, [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with (
        alone(machine),
        pytest.raises(RefusedError, match="under way"),
        turn(machine, clock=lambda: now[0], sleep=sleep),
    ):
        pass
    assert now[0] > WAIT_SECONDS


def test_certificates_and_configurations_keep_all_others_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = settings(tmp_path)

    def work(*_: object) -> str:
        with pytest.raises(RefusedError, match="under way"), alone(told.machine):
            pass
        return "done"

    monkeypatch.setattr(configuration, "_bring_about", work)
    monkeypatch.setattr(certificates, "current_release", work)
    monkeypatch.setattr(certificates, "deliver", work)

    assert configuration.configure(told, Wanted("key", None, "0" * 64)) == "done"
    assert certificates.deliver_current(told) == "done"


def test_a_boot_is_tried_again_and_a_fault_that_stays_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = [RefusedError("S3 does not answer"), OSError("no route"), None]

    def boot(_: Settings) -> str:
        if error := ends.pop(0):
            raise error
        return "booted"

    monkeypatch.setattr(booting, "boot", boot)

    assert booting.boot_at_last(settings(tmp_path), attempts=3, sleep=lambda _: None) == "booted"
    ends += [RefusedError("one"), RefusedError("two")]
    with pytest.raises(RefusedError, match="two"):
        booting.boot_at_last(settings(tmp_path / "other"), attempts=2, sleep=lambda _: None)


def test_another_server_at_this_machines_port_is_not_what_was_booted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SimpleNamespace(fault=lambda _: "", get=lambda _: {"server_name": "nats-2"})
    monkeypatch.setattr(booting, "Monitor", lambda _: other)

    assert booting._not_serving(settings(tmp_path)).startswith("a server of the name nats-2 answers")  # noqa: SLF001 - no boot waits here
