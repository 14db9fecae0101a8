"""What a world plays: the repertoire, which every world plays, and the few plays that this one has drawn."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from onstage.app import App
from onstage.testing.world import repertoire
from onstage.testing.world.plays.branches_played import BRANCHES
from onstage.testing.world.plays.changes_played import CHANGES
from onstage.testing.world.plays.counts_played import COUNTED
from onstage.testing.world.plays.flow_played import FLOW
from onstage.testing.world.plays.forks_played import FORKS
from onstage.testing.world.plays.gatherings_played import GATHERINGS
from onstage.testing.world.plays.histories_played import HISTORIES
from onstage.testing.world.plays.intakes_played import INTAKES
from onstage.testing.world.plays.long_steps_played import LONG_STEPS
from onstage.testing.world.plays.pauses_played import PAUSES
from onstage.testing.world.plays.payloads_played import OFFLOADS, SEALS
from onstage.testing.world.plays.requests_played import REQUESTS
from onstage.testing.world.plays.states_played import STATES
from onstage.testing.world.plays.times_played import TIMES
from onstage.testing.world.plays.watches_played import WATCHES
from onstage.testing.world.plays.workflows_played import WORKFLOWS

if TYPE_CHECKING:
    from onstage.testing.world.plays.play import Play
    from onstage.testing.world.tape import Stream

__all__ = ["GUESTS", "PLAYS", "drawn_plays", "programme_of"]

PLAYS: Final[tuple[Play, ...]] = (
    REQUESTS, WORKFLOWS, BRANCHES, TIMES, STATES, CHANGES, FLOW, GATHERINGS, PAUSES, HISTORIES, LONG_STEPS, FORKS,
    OFFLOADS, SEALS,
)  # fmt: skip

GUESTS: Final[tuple[Play, ...]] = (WATCHES, INTAKES, COUNTED)
"""Plays that came later. They are drawn on their own, so that the other worlds stay what they were."""

GUEST_IN: Final = 5
"""One world in so many has a guest."""

HOW_MANY: Final = (0, 0, 1, 1, 2, 2, 3)
"""How many plays a world has: one draw of these."""


def drawn_plays(chance: Stream, guests: Stream) -> tuple[Play, ...]:
    """The plays of one world."""
    left = list(PLAYS)
    count = min(HOW_MANY[chance.pick(len(HOW_MANY))], len(left))
    drawn = tuple(left.pop(chance.pick(len(left))) for _ in range(count))
    if not GUESTS or guests.pick(GUEST_IN) != GUEST_IN - 1:
        return drawn
    return (*drawn, GUESTS[guests.pick(len(GUESTS))])


@cache
def programme_of(version: int, plays: tuple[str, ...], *, today: bool) -> App:
    """The application: the repertoire in this version, and these plays before or after (`today`) their deployment."""
    app = repertoire.app_of(version)
    chosen = [play for name in plays for play in (*PLAYS, *GUESTS) if play.name == name]
    services = dict.fromkeys(service for play in chosen for service in play.services(today))  # plays may share one
    declared = (each for play in chosen for each in play.declares)
    return App(*app.services, *services, *app.processes, *declared)
