"""`onstage.state`: the public name, and how handlers are recognised by it."""

from onstage.contracts.inference import keeps_state
from onstage.state import state


async def reads(e: object) -> None:
    await state(int, key="k")


async def reads_through_another(e: object) -> None:
    await reads(e)


async def mentions(e: object) -> None:
    assert state is not None


async def does_not(e: object) -> None:
    assert e is not None


def test_a_handler_that_calls_it_keeps_state() -> None:
    assert keeps_state(reads)
    assert keeps_state(reads_through_another)


def test_a_mention_or_another_use_is_no_reading() -> None:
    assert not keeps_state(mentions)
    assert not keeps_state(does_not)
