"""The files that `onstage deploy` writes, as text: a systemd unit per service and one for the observer, or a Procfile.

No secret is ever in them. What a login needs is in a file that the units read and that is nobody else's to read.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

__all__ = ["OBSERVER", "Deployment", "environment_file", "procfile", "systemd_units"]

OBSERVER: Final = "observer"
_UNIT: Final = """\
[Unit]
Description={description}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
WorkingDirectory={folder}
Environment=ONSTAGE_BROKER={broker}
Environment=XDG_RUNTIME_DIR=/run/{name}
EnvironmentFile=-{secrets}
User={name}
Group={name}
StateDirectory={name}
StateDirectoryMode=0750
RuntimeDirectory={name}
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
UMask=0027
Restart=always
RestartSec=2
TimeoutStopSec=30
LimitNOFILE=65536
CapabilityBoundingSet=
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""


@final
@dataclass(frozen=True, slots=True)
class Deployment:
    """What runs: services of an app (`module:attribute`) in a folder, by this Python, over this broker."""

    target: str
    services: tuple[str, ...]
    broker: str
    python: str
    folder: Path

    @property
    def name(self) -> str:
        """What users, folders and units are called: after the app's folder, as systemd and user names allow."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.folder.name.lower()).strip("-")
        return f"onstage-{plain or 'app'}"[:31].rstrip("-")

    def command(self, service: str, store: str) -> list[str]:
        """The command of a service, or of the observer; the broker comes from the environment."""
        what = ["observe"] if service == OBSERVER else ["run", self.target, "-s", service, "--log-level", "warning"]
        return [self.python, "-m", "onstage.cli.main", *what, "--store", store]


def systemd_units(of: Deployment) -> dict[str, str]:
    """The units by file name. Stores are in /var/lib, one for each service."""
    units: dict[str, str] = {}
    for service in (*of.services, OBSERVER):
        kept = "view" if service == OBSERVER else service
        command = of.command(service, f"sqlite:////var/lib/{of.name}/{kept}.db")
        what = "observer" if service == OBSERVER else f"service {service}"
        units[f"{of.name}-{_plain(service)}.service"] = _UNIT.format(
            description=_escaped(f"Onstage {what} of {of.target}"),
            command=" ".join(_quoted(part).replace("$", "$$") for part in command),
            folder=_escaped(str(of.folder)),
            broker=_quoted(of.broker),
            secrets=environment_file(of),
            name=of.name,
        )
    return units


def environment_file(of: Deployment) -> str:
    """Where the units read credentials from."""
    return f"/etc/{of.name}.env"


def procfile(of: Deployment) -> dict[str, str]:
    """A Procfile, with the stores in `stores` below the folder that it is run in."""
    lines = []
    for service in (*of.services, OBSERVER):
        kept = "view" if service == OBSERVER else service
        command = shlex.join(["onstage", *of.command(service, f"sqlite:///stores/{kept}.db")[3:]])
        lines.append(f"{_plain(service)}: {command} --broker {shlex.quote(of.broker)}\n")
    return {"Procfile": "".join(lines)}


def _plain(service: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", service)


def _escaped(text: str) -> str:
    """Text that systemd takes as it is."""
    return text.replace("%", "%%").replace("\n", " ")


def _quoted(text: str) -> str:
    """One argument of a command line, or one value of an assignment, of a unit."""
    quoted = _escaped(text.replace("\\", "\\\\").replace('"', '\\"'))
    return quoted if re.fullmatch(r"[\w@%+=:,./?&\[\]-]+", text) else f'"{quoted}"'
