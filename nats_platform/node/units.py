"""The units of systemd: the server, hardened, and what runs beside it on a schedule."""

from __future__ import annotations

from nats_platform.node.server import UNIT
from nats_platform.node.settings import ENVIRONMENT_FILE, Settings

METRICS_TIMER = "nats-metrics.timer"
# What the configuration says of lame duck (10 s of grace, then 30 s) and 50 s more, in which JetStream closes.
STOP_SECONDS = 90
MEMORY_SHARE = 0.85


def units(settings: Settings, memory_mib: int) -> dict[str, str]:
    """Return every unit by its name."""
    return {
        UNIT: _server(settings, memory_mib),
        "nats-metrics.service": _metrics(settings),
        METRICS_TIMER: _METRICS_TIMER,
    }


def _server(settings: Settings, memory_mib: int) -> str:
    owner, data, run = settings.owner, settings.data, settings.root / "run/nats"
    return f"""\
[Unit]
Description=NATS {settings.node}
After=network-online.target
Wants=network-online.target
# Without its disk it would begin anew on the machine's own, with a name that the others know.
ConditionPathIsMountPoint={data}
RequiresMountsFor={data}
# It never stays down for good: whatever ended it may have passed.
StartLimitIntervalSec=0

[Service]
Type=simple
User={owner}
Group={owner}
ExecStart={settings.program} -c {settings.config}
ExecReload=/bin/kill -s HUP $MAINPID
# Lame duck: leaders step down, clients move over one by one. The second line waits, or systemd would end it at once.
ExecStop=/bin/kill -s USR2 $MAINPID
ExecStop=/usr/bin/tail --pid=$MAINPID -f /dev/null
TimeoutStopSec={STOP_SECONDS}
Restart=always
RestartSec=2
Environment=GOMEMLIMIT={int(memory_mib * MEMORY_SHARE)}MiB
LimitNOFILE=800000
UMask=0077
RuntimeDirectory=nats
RuntimeDirectoryMode=0755
WorkingDirectory={data}

CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=true
ProtectSystem=strict
ReadWritePaths={data} {run}
ProtectHome=true
PrivateTmp=true
PrivateDevices=true
PrivateUsers=true
ProtectClock=true
ProtectControlGroups=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectProc=invisible
LockPersonality=true
MemoryDenyWriteExecute=true
RemoveIPC=true
# The machine's role is the agent's: whoever took the server over would ask for its credentials there.
IPAddressDeny=169.254.169.254 fd00:ec2::254
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def _metrics(settings: Settings) -> str:
    return f"""\
[Unit]
Description=Metrics and log of NATS, to CloudWatch

[Service]
Type=oneshot
EnvironmentFile={settings.root / ENVIRONMENT_FILE}
ExecStart=/usr/bin/python3 {settings.installed}/agent/current.pyz metrics
TimeoutStartSec=50
UMask=0077
Nice=10
"""


_METRICS_TIMER = """\
[Unit]
Description=Metrics and log of NATS, each minute

[Timer]
OnCalendar=*-*-* *:*:00
AccuracySec=1s

[Install]
WantedBy=timers.target
"""
