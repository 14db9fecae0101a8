"""Manifests in a few words, for tests of what is found in them; and random ones."""

from hypothesis import strategies as st

from onstage.contracts.manifest import AppManifest, HandlerManifest, ProcessManifest


def says(name: str, on: str = "", gives: str = "-", **more: object) -> HandlerManifest:
    """A handler: `says("stock.reserve", on="accepted", gives="reserved + noted | sold-out | -")`."""
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


def process(starts: str, done: str = "", name: str = "p", **more: object) -> ProcessManifest:
    """A declared process."""
    fields: dict[str, object] = {"name": name, "starts": tuple(starts.split()), "done": tuple(done.split())}
    return ProcessManifest(**(fields | more))  # type: ignore[arg-type]


EVENTS = tuple("abcdef")
_ways = st.lists(st.lists(st.sampled_from(EVENTS), max_size=2, unique=True), max_size=3)


@st.composite
def handlers(draw: st.DrawFn, number: int) -> HandlerManifest:
    """A handler that hears and may emit any of six events, waits, asks and answers."""
    ways = tuple(sorted({tuple(sorted(way)) for way in draw(_ways)}))
    besides = draw(st.sets(st.sampled_from(EVENTS), max_size=1))
    return HandlerManifest(
        name=f"s{number % 3}.h{number}",
        service=f"s{number % 3}",
        triggers=tuple(draw(st.lists(st.sampled_from(EVENTS), max_size=2, unique=True))),
        emits=tuple(sorted({name for way in ways for name in way} | besides)),
        waits=tuple(sorted(draw(st.sets(st.sampled_from(EVENTS), max_size=1)))),
        alternatives=ways,
        gating=draw(st.sampled_from((True, True, True, False))),
        timer=draw(st.booleans()),
        rejects=draw(st.sampled_from((False, False, False, True))),
        asks=tuple(sorted(draw(st.sets(st.sampled_from(("q", "r")), max_size=2)))),
        answers=draw(st.sampled_from((None, None, "q", "r"))),
    )


@st.composite
def manifests(draw: st.DrawFn, most: int = 7) -> AppManifest:
    """Up to so many of such handlers, and up to two processes."""
    reactions = [draw(handlers(number)) for number in range(draw(st.integers(0, most)))]
    named = st.lists(st.sampled_from(EVENTS), min_size=1, max_size=2, unique=True).map(tuple)
    processes = [
        ProcessManifest(name=name, starts=draw(named), done=draw(named), external=draw(st.just(()) | named))
        for name in ("p", "r")[: draw(st.integers(0, 2))]
    ]
    return AppManifest(handlers=tuple(reactions), processes=tuple(processes))
