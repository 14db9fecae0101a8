"""Manifests in a few words, for tests of what is found in them; and random ones."""

from random import Random  # noqa: TID251  # seeded by hypothesis

from hypothesis import strategies as st

from onstage.contracts.manifest import AppManifest, HandlerManifest, ProcessManifest


def says(name: str, *flow: str, **more: object) -> HandlerManifest:
    """A handler, what it hears and how it may end: `says("stock.take", "accepted", "taken + noted | sold-out")`."""
    on, gives, *_ = (*flow, *("", "-")[len(flow) :])
    ways = {tuple(sorted(way.split(" + "))) for way in gives.split(" | ") if way != "-"}
    ways |= {()} if "-" in gives.split(" | ") else set()
    fields = {
        "name": name,
        "service": name.partition(".")[0],
        "triggers": tuple(on.split()),
        "emits": tuple(sorted({each for way in ways for each in way})),
        "alternatives": tuple(sorted(ways)),
    }
    return HandlerManifest(**(fields | more))  # type: ignore[arg-type]


def app(*parts: HandlerManifest | ProcessManifest) -> AppManifest:
    """The manifest of these handlers and processes; its types are those that they name."""
    return AppManifest(
        handlers=tuple(each for each in parts if isinstance(each, HandlerManifest)),
        processes=tuple(each for each in parts if isinstance(each, ProcessManifest)),
    )


def process(starts: str, done: str = "", *, name: str = "p", **more: object) -> ProcessManifest:
    """A declared process."""
    fields: dict[str, object] = {"name": name, "starts": tuple(starts.split()), "done": tuple(done.split())}
    return ProcessManifest(**(fields | more))  # type: ignore[arg-type]


EVENTS = "abcdef"


def drawn(chance: Random, count: int) -> AppManifest:
    """So many handlers that hear and emit some of six events, wait, ask and answer; and up to two processes."""

    def some(of: str, most: int, least: int = 0) -> tuple[str, ...]:
        return tuple(sorted(chance.sample(of, chance.randint(least, most))))

    parts: list[HandlerManifest | ProcessManifest] = []
    for number in range(count):
        ways = tuple(sorted({some(EVENTS, 2) for _ in range(chance.randint(0, 3))}))
        parts.append(
            HandlerManifest(
                name=f"s{number % 3}.h{number}",
                service=f"s{number % 3}",
                triggers=some(EVENTS, 2),
                emits=tuple(sorted({*some(EVENTS, 1), *(name for way in ways for name in way)})),
                waits=some(EVENTS, 1),
                alternatives=ways,
                gating=chance.random() < 0.8,
                timer=chance.random() < 0.5,
                rejects=chance.random() < 0.2,
                asks=some("qr", 2),
                answers=chance.choice((None, None, "q", "r")),
            )
        )
    parts.extend(
        ProcessManifest(name=name, starts=some(EVENTS, 2, 1), done=some(EVENTS, 2, 1), external=some(EVENTS, 1))
        for name in ("p", "r")[: chance.randint(0, 2)]
    )
    return app(*parts)


def manifests(most: int = 7) -> st.SearchStrategy[AppManifest]:
    """Random manifests of up to so many handlers."""
    return st.builds(lambda count, seed: drawn(Random(seed), count), st.integers(0, most), st.integers(0, 2**40))
