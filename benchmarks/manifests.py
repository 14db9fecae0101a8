"""How long `onstage check` takes over the manifests of many services."""

from __future__ import annotations

import time
from random import Random  # seeded: the same manifests in each run

from onstage.contracts.check import check
from onstage.contracts.manifest import AppManifest, HandlerManifest, ProcessManifest


def services(count: int) -> AppManifest:
    """So many services of two handlers, each with up to three alternatives some way ahead in one long choreography."""
    chance = Random(count)
    handlers = []
    for number in range(2 * count):
        ahead = sorted({f"e{number + 1 + chance.randrange(6)}" for _ in range(chance.randrange(1, 4))})
        nothing = ((),) if chance.random() < 0.3 else ()
        handlers.append(
            HandlerManifest(
                name=f"s{number // 2}.h{number}",
                service=f"s{number // 2}",
                triggers=(f"e{number}",),
                emits=tuple(ahead),
                alternatives=(*nothing, *((name,) for name in ahead)),
            )
        )
    process = ProcessManifest(name="long", starts=("e0",), done=(f"e{2 * count}",))
    return AppManifest(handlers=tuple(handlers), processes=(process,))


def check_of(count: int) -> dict[str, float]:
    """Seconds for one check, and what it found."""
    manifest = services(count)
    begun = time.perf_counter()
    report = check(manifest)
    seconds = time.perf_counter() - begun
    return {"check_s": seconds, "handlers": len(manifest.handlers), "findings": len(report.findings)}
