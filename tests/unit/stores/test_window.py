"""The loop's half of a store: positions, and who waits for what."""

import asyncio

import pytest

from onstage.core.commit import Commit, Refusal, RefusedBecause
from onstage.core.journal import Slept
from onstage.errors import StoreUnavailable
from onstage.ports.store import BatchOutcome, Refused
from onstage.stores.window import KEPT_MAX, Window


def settled(window: Window, position: int, *refused: int) -> None:
    refusals = [Refusal(Commit(position=p), RefusedBecause.CONFLICT) for p in refused]
    window.settle(BatchOutcome(position, refusals, {position: Slept(f"s#{position}")}, []))


def window_of(size: int) -> Window:
    window = Window(lambda _: None)
    for _ in range(size):
        window.append(Commit())
    return window


def answer(window: Window, position: int) -> object:
    return asyncio.run(window.durable(position))


def test_flush_hands_over_once_and_in_order() -> None:
    handed: list[list[int]] = []
    window = Window(lambda commits: handed.append([commit.position for commit in commits]))
    window.append(Commit())
    window.append(Commit())
    window.flush()
    window.flush()
    assert handed == [[1, 2]]


def test_undurable_counts_what_is_not_settled() -> None:
    window = window_of(3)
    settled(window, 2)
    assert window.undurable == 1


def test_everybody_up_to_the_position_is_woken() -> None:
    async def story() -> list[object]:
        window = window_of(3)
        waiters = [asyncio.ensure_future(window.durable(position)) for position in (3, 1, 2, 1)]
        await asyncio.sleep(0)
        settled(window, 2, 1)
        answers = list(await asyncio.gather(*waiters[1:], return_exceptions=True))
        assert not waiters[0].done()
        window.close("closed")
        return [type(a) for a in answers + list(await asyncio.gather(waiters[0], return_exceptions=True))]

    assert asyncio.run(story()) == [Refused, Slept, Refused, StoreUnavailable]


def test_a_waiter_that_was_cancelled_disturbs_nobody() -> None:
    async def story() -> object:
        window = window_of(1)
        gone, stays = (asyncio.ensure_future(window.durable(1)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        settled(window, 1)
        return await stays

    assert asyncio.run(story()) == Slept("s#1")


def test_the_answer_of_a_transaction_waits_for_those_who_ask_late() -> None:
    window = window_of(2)
    settled(window, 1)
    settled(window, 2)
    assert answer(window, 1) == Slept("s#1")


def test_a_refusal_is_never_forgotten_though_few_are_kept_in_full() -> None:
    window = window_of(3 * KEPT_MAX)
    for position in range(1, 3 * KEPT_MAX + 1):
        settled(window, position, *([position] if position % 2 else []))
    for position in range(1, 3 * KEPT_MAX + 1, 2):
        with pytest.raises(Refused) as caught:
            answer(window, position)
        assert caught.value.refusal.commit.position == position
    assert answer(window, 2) is None
    assert answer(window, 3 * KEPT_MAX) == Slept(f"s#{3 * KEPT_MAX}")


def test_a_closed_window_takes_nothing_and_hears_nothing() -> None:
    window = window_of(1)
    window.close("the store was closed")
    settled(window, 1)
    assert window.undurable == 1
    with pytest.raises(StoreUnavailable, match="the store was closed"):
        window.append(Commit())
    with pytest.raises(StoreUnavailable, match="the store was closed"):
        answer(window, 1)


def test_commits_that_do_not_reach_the_writer_close_the_window_and_are_never_durable() -> None:
    def hand_over(commits: list[Commit]) -> None:
        raise MemoryError

    window = Window(hand_over)
    window.append(Commit())
    with pytest.raises(MemoryError):
        window.flush()
    settled(window, 1)
    assert window.undurable == 1
    with pytest.raises(StoreUnavailable, match="restart the node"):
        answer(window, 1)
    with pytest.raises(StoreUnavailable):
        window.append(Commit())
