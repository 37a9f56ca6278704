"""The server's unit: what systemd would do with it."""

from __future__ import annotations

import re

import pytest

from nats_platform.configuration import LAME_DUCK_GRACE_SECONDS, LAME_DUCK_SECONDS
from nats_platform.node.server import UNIT
from nats_platform.node.settings import Settings
from nats_platform.node.units import METRICS_TIMER, units

SETTINGS = Settings.told({
    "NODE": "nats-1", "NODES": "nats-1 nats-2 nats-3", "ENVIRONMENT": "test", "REGION": "eu-west-1", "BUCKET": "a",
    "CERTIFICATES_BUCKET": "b", "NODE_DOMAIN": "nats.acme.internal", "LOG_GROUP": "/nats/test",
})  # fmt: skip
WRITTEN = units(SETTINGS, memory_mib=4000)


def values(unit: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in WRITTEN[unit].splitlines() if line.startswith(f"{key}=")]


def test_the_server_does_not_start_without_its_disk() -> None:
    assert values(UNIT, "ConditionPathIsMountPoint") == ["/var/lib/nats"]


def test_the_server_stops_by_lame_duck_and_systemd_waits_long_enough() -> None:
    assert values(UNIT, "ExecStop")[0] == "/bin/kill -s USR2 $MAINPID"
    assert "--pid=$MAINPID" in values(UNIT, "ExecStop")[1]
    assert int(values(UNIT, "TimeoutStopSec")[0]) >= LAME_DUCK_GRACE_SECONDS + LAME_DUCK_SECONDS + 20


def test_the_server_comes_back_always_and_nothing_makes_systemd_give_up() -> None:
    assert values(UNIT, "Restart") == ["always"]
    assert values(UNIT, "StartLimitIntervalSec") == ["0"]


def test_the_server_takes_most_of_the_memory_and_leaves_the_rest() -> None:
    assert values(UNIT, "Environment") == ["GOMEMLIMIT=3400MiB"]


@pytest.mark.parametrize(
    "line",
    [
        "User=nats", "Group=nats", "UMask=0077", "LimitNOFILE=800000", "CapabilityBoundingSet=", "AmbientCapabilities=",
        "NoNewPrivileges=true", "ProtectSystem=strict", "ReadWritePaths=/var/lib/nats /run/nats", "ProtectHome=true",
        "PrivateTmp=true", "PrivateDevices=true", "PrivateUsers=true", "ProtectClock=true", "ProtectControlGroups=true",
        "ProtectHostname=true", "ProtectKernelLogs=true", "ProtectKernelModules=true", "ProtectKernelTunables=true",
        "ProtectProc=invisible", "LockPersonality=true", "MemoryDenyWriteExecute=true", "RemoveIPC=true",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX", "RestrictNamespaces=true", "RestrictRealtime=true",
        "RestrictSUIDSGID=true", "SystemCallArchitectures=native", "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
    ],
)  # fmt: skip
def test_the_server_may_do_little(line: str) -> None:
    assert line in WRITTEN[UNIT].splitlines()


def test_the_server_cannot_ask_for_the_credentials_of_its_machine_and_the_agent_can() -> None:
    assert values(UNIT, "IPAddressDeny") == ["169.254.169.254 fd00:ec2::254"]
    assert values(METRICS_TIMER.replace("timer", "service"), "IPAddressDeny") == []


def test_the_server_waits_for_the_mount_and_is_taken_down_with_it() -> None:
    assert values(UNIT, "RequiresMountsFor") == ["/var/lib/nats"]


def test_the_server_is_the_one_that_is_installed_with_the_configuration_that_holds() -> None:
    assert values(UNIT, "ExecStart") == ["/opt/nats/current/nats-server -c /etc/nats/nats.conf"]


def test_metrics_go_out_each_minute_by_the_agent_that_holds() -> None:
    assert values(METRICS_TIMER, "OnCalendar") == ["*-*-* *:*:00"]
    service = METRICS_TIMER.replace("timer", "service")
    assert values(service, "ExecStart") == ["/usr/bin/python3 /opt/nats/agent/current.pyz metrics"]
    assert values(service, "EnvironmentFile") == ["/etc/nats/agent.env"]


@pytest.mark.parametrize("unit", WRITTEN)
def test_every_line_is_one_that_systemd_reads(unit: str) -> None:
    assert all(re.fullmatch(r"(|#.*|\[\w+\]|[A-Z]\w+=.*)", line) for line in WRITTEN[unit].splitlines())
