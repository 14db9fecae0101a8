"""What a play is: services of one feature, what clients and operators do there, and what must hold at the end.

A world draws a few plays from its tape; most leave most of them out, so that features meet each other, and a world
costs little more than one that plays none.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from onstage.contracts.expectation import Expectation
    from onstage.contracts.process import Process
    from onstage.contracts.service import Service
    from onstage.events.delayed import When
    from onstage.events.event import EventType
    from onstage.ports.payload_codec import PayloadCodec
    from onstage.ports.telemetry import Telemetry
    from onstage.runtime.local_ways import LocalWays
    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["Act", "Play", "Said", "Scene"]


class Scene(NamedTuple):
    """What an operator or a curious client has at hand: the doors of the node, and what can be seen from outside.

    `end` says that the storm is over: whatever an operator holds back has to be let go.
    """

    ways: LocalWays
    onlooker: Onlooker
    chance: Stream
    end: bool = False


class Said(NamedTuple):
    """What a client says: an event, or with `starts` the input of a workflow or a request that it waits for itself."""

    event: Any
    starts: EventType | None = None
    when: When | None = None
    later_s: float = 0.0


class Act(NamedTuple):
    """What somebody does at a node once. It dies with the node, and an error that people are told is no finding."""

    do: Callable[[Scene], Coroutine[Any, Any, None]]
    later_s: float = 0.0


class Play(NamedTuple):
    """A feature on stage.

    `services` makes the services, as they are before and after a deployment; `deeds` draws what is done next for a key
    and a number. `effects` are the rows of the ledger of effects that a finished execution of each handler has left.
    `check` yields what does not hold at rest, with the name of the checker; `marks` are the situations that are to be
    seen sometimes, and `seen` yields those that were. Handlers that are `unordered` promise no order in their lanes,
    what is `unreplayed` cannot be rehearsed; what is `counted` is not obliged by each event of its types, so the play
    counts it itself. `at_end` is what an operator does when the storm is over. With `changes` a deployment is to come.
    Payloads of more than `offload_above` bytes are kept apart, and a `codec` seals all of them. What it `declares` goes
    to the application; events of the types `made` are the engine's own, with no cause and from nobody outside. Each
    life of the node has a `telemetry` of its own.
    """

    name: str
    services: Callable[[bool], tuple[Service, ...]]
    deeds: Callable[[Stream, str, int], Iterable[Said | Act]]
    check: Callable[[StoredFile, Onlooker], Iterator[tuple[str, str]]]
    marks: Sequence[str]
    seen: Callable[[StoredFile], Iterator[str]]
    effects: Mapping[str, Sequence[str]] = {}
    unordered: frozenset[str] = frozenset()
    unreplayed: frozenset[str] = frozenset()
    at_end: Callable[[Scene], Coroutine[Any, Any, None]] | None = None
    changes: bool = False
    counted: frozenset[str] = frozenset()
    offload_above: int | None = None
    codec: PayloadCodec | None = None
    declares: Sequence[Process | Expectation] = ()
    made: frozenset[str] = frozenset()
    telemetry: Callable[[], Telemetry] | None = None
