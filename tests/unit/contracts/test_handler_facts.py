"""What a handler's annotation and source tell beside its events."""

from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import pytest

from onstage import Reject, Retry, emit, sleep, step, transaction, wait
from onstage.contracts.handler_facts import facts_of, returned_alternatives
from onstage.events.event import event
from onstage.ports.store import Connection


@event("a")
@dataclass
class A:
    x: int


@event("b")
@dataclass
class B:
    x: int


@event("c")
@dataclass
class C:
    x: int


ANNOTATIONS: list[tuple[object, list[tuple[str, ...]]]] = [
    (A, [("a",)]),
    (A | B, [("a",), ("b",)]),
    (A | None, [(), ("a",)]),
    (None, [()]),
    (NoReturn, [()]),
    (tuple[A, B], [("a", "b")]),
    (tuple[B, A] | C, [("a", "b"), ("c",)]),
    (tuple[A | B, C], [("a", "c"), ("b", "c")]),
    (tuple[A, A], [("a",)]),
    (tuple[A, B | None], [("a",), ("a", "b")]),
    (tuple[A, ...], [(), ("a",)]),
    (tuple[()], [()]),
    (list[A | B], [(), ("a",), ("b",)]),
    (Annotated[A, "note"], [("a",)]),
    ("A | tuple[B, C]", [("a",), ("b", "c")]),
]


@pytest.mark.parametrize(("annotation", "expected"), ANNOTATIONS, ids=str)
def test_alternatives_are_what_the_annotation_lets_it_end_with(
    annotation: object, expected: list[tuple[str, ...]]
) -> None:
    async def handler(e: A) -> object: ...

    handler.__annotations__["return"] = annotation
    assert returned_alternatives(handler) == tuple(expected)


def test_too_many_alternatives_are_none_that_are_known() -> None:
    async def handler(e: A) -> object: ...

    handler.__annotations__["return"] = tuple[(A | None, B | None, C | None) * 30]  # type: ignore[misc]
    assert len(returned_alternatives(handler)) == 8
    names = [event(f"n{number}")(type(f"N{number}", (A,), {})) for number in range(7)]
    handler.__annotations__["return"] = tuple[tuple(each | None for each in names)]  # type: ignore[misc]
    assert returned_alternatives(handler) == ()


def undo(result: None) -> None: ...


@step(undo=undo)
async def book() -> None: ...


@step(name="pay", retry=Retry(attempts=2))
async def charge() -> None: ...


@transaction
def keep(db: Connection) -> None: ...


async def helper() -> None:
    await book()
    await sleep("1s")


async def with_steps(e: A) -> None:
    await charge()
    await keep()


async def through_a_helper(e: A) -> None:
    await helper()


async def rejecting(e: A) -> None:
    raise Reject("no")


async def waiting(e: A) -> None:
    await wait(B)


async def waiting_for_so_long(e: A) -> None:
    await wait(B, timeout="1h")


async def emitting(e: A) -> None:
    await emit(B(1))


async def waiting_for_who_knows_what(e: A) -> None:
    events: Any = [B]
    await wait(*events)


def test_steps_are_named_with_their_undo() -> None:
    assert [(each.name, each.undo) for each in facts_of(with_steps).steps] == [("keep", False), ("pay", False)]
    assert [(each.name, each.undo) for each in facts_of(through_a_helper).steps] == [("book", True)]


def test_whoever_sleeps_or_limits_a_wait_takes_time() -> None:
    assert facts_of(through_a_helper).timer
    assert facts_of(waiting_for_so_long).timer
    assert not any(facts_of(each).timer for each in (waiting, emitting, rejecting, with_steps))


def test_who_names_reject_may_raise_it() -> None:
    assert facts_of(rejecting).rejects
    assert not facts_of(waiting).rejects


def test_a_wait_that_cannot_be_read_is_said_to_be_so() -> None:
    assert not facts_of(waiting_for_who_knows_what).inferred
    assert all(facts_of(each).inferred for each in (waiting, waiting_for_so_long, emitting, with_steps))


def test_a_source_that_is_not_there_is_said_to_be_so() -> None:
    names: dict[str, Any] = {"wait": wait, "B": B}
    exec("async def unseen(e): await wait(B)", names)  # noqa: S102  # code without a file
    assert not facts_of(names["unseen"]).inferred
