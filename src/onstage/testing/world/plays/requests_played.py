"""Requests: somebody asks, somebody answers, in time or too late, with a value or with a no."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec

from onstage.contracts.service import Service
from onstage.core.retry import Retry
from onstage.errors import AskFailed, Reject
from onstage.events.answer import Request
from onstage.events.event import event, event_type
from onstage.runtime.asking import ask
from onstage.runtime.calls import sleep
from onstage.testing.checks.request_answers import answers_of, wrongly_answered
from onstage.testing.world.outside import OUTSIDE
from onstage.testing.world.plays.play import Play, Said
from onstage.testing.world.repertoire import TABLES, book

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onstage.testing.checks.stored_file import StoredFile
    from onstage.testing.world.onlooker import Onlooker
    from onstage.testing.world.tape import Stream

__all__ = ["REQUESTS", "Got", "Price", "Wanted"]

SOON: Final = Retry(3, first="50ms", most="1s")
CENTS: Final = 7
GIVEN_UP: Final = ("dropped", "cancelled", "terminated")


@event("world.wanted", key="key")
@dataclass(frozen=True)
class Wanted:
    """Somebody wants `n`, and has so much time to hear its price."""

    key: str
    n: int
    patience_s: float


@event("world.price", key="key")
@dataclass(frozen=True)
class Price(Request[int]):
    """What `n` costs: nothing is said of every fifth, and some take long."""

    key: str
    n: int


@event("world.got", key="key")
@dataclass(frozen=True)
class Got:
    """What was heard: the price, a no, or nothing in time."""

    key: str
    n: int
    heard: str


@cache
def _services(_: bool) -> tuple[Service, ...]:  # noqa: FBT001  of a play
    desk, buyer = Service("desk", tables=TABLES), Service("buyer", tables=TABLES)

    @desk.answers(Price, retry=SOON)
    async def price(q: Price) -> int:
        OUTSIDE.stumble()
        if q.n % 5 == 4:
            raise Reject("none left")
        if q.n % 3 == 2:
            await sleep("30s")
        await book("price")
        return q.n * CENTS

    @buyer.on(Wanted, retry=SOON)
    async def want(e: Wanted) -> Got:
        try:
            heard = str(await ask(Price(e.key, e.n), timeout=e.patience_s or None))
        except AskFailed as error:
            heard = error.kind
        except TimeoutError:
            heard = "nothing"
        OUTSIDE.stumble()
        await book("want")
        return Got(e.key, e.n, heard)

    return desk, buyer


def _deeds(chance: Stream, key: str, n: int) -> Iterator[Said]:
    if chance.pick(5) == 4:
        yield Said(Price(key, n), starts=event_type(Price))
    else:
        yield Said(Wanted(key, n, (0.0, 20.0, 0.5, 200.0)[chance.pick(4)]))


def _check(file: StoredFile, _: Onlooker) -> Iterator[tuple[str, str]]:
    for what in wrongly_answered(file):
        yield "answers", what
    for n, row in file.events.items():
        if row.type != "world.got" or n not in file.payloads:
            continue
        got = msgspec.json.decode(file.payloads[n], type=Got)
        if got.heard not in (str(got.n * CENTS), "nothing", "rejected" if got.n % 5 == 4 else "dropped", *GIVEN_UP):
            yield "answers", f"{got.n * CENTS} was the answer, and {got.heard} was heard"


def _seen(file: StoredFile) -> Iterator[str]:
    for n, row in file.events.items():
        if row.type == "world.got":
            heard = msgspec.json.decode(file.payloads[n], type=Got).heard
            yield {"nothing": "a request was not answered in time", "rejected": "a request was rejected"}.get(
                heard, "a request was answered"
            )
    if any(not file.events[n].cause for n in answers_of(file)):
        yield "a request from outside was answered"


REQUESTS: Final = Play(
    "requests",
    _services,
    _deeds,
    _check,
    (
        "a request was answered",
        "a request was rejected",
        "a request was not answered in time",
        "a request from outside was answered",
    ),
    _seen,
    effects={"buyer.want": ["want"], "desk.price": ["price"]},
)
