"""Steps and transactions as they are defined: what is refused at import, and how they behave in a plain unit test."""

import asyncio
import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.runtime.playhouse import Paid, Placed, playing

from onstage import App, Retry, Service, step, transaction
from onstage.errors import DefinitionError, NotInExecution, UsageError
from onstage.runtime.step import Step

if TYPE_CHECKING:
    from onstage.ports.store import Connection


class Opaque:
    pass


class Till:
    async def charge(self, order_id: str) -> str:
        return order_id

    @classmethod
    def close(cls) -> None: ...


def without_annotation(order_id):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    return None


def opaque_result(order_id: str) -> Opaque:
    return Opaque()


def opaque_argument(what: Opaque) -> str:
    return ""


def loose(order_id: str, **others: int) -> str:
    return order_id


def plain(order_id: str) -> str:
    return order_id


def refund(result: str, order_id: str) -> None: ...


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a method": (lambda: step(Till.charge), "is a method"),
    "a bound method": (lambda: step(Till().charge), "is a method"),
    "a class method": (lambda: step(Till.close), "is a method"),
    "no return annotation": (lambda: step(without_annotation), "has no return annotation"),
    "a partial": (lambda: step(functools.partial(plain, "o1")), "has no return annotation"),
    "a result without codec": (lambda: step(opaque_result), "the result of step opaque_result cannot be stored"),
    "an argument that its undo needs": (lambda: step(undo=refund)(opaque_argument), "cannot be kept for its undo"),
    "loose keywords": (lambda: step(loose), r"takes \*\*others"),
    "a slip in an option": (lambda: step(retrys=5)(plain), "has the option 'retrys'"),  # type: ignore[call-arg]
    "an unreadable timeout": (lambda: step(timeout="soon")(plain), "has 'soon' in timeout="),
    "a transaction's result": (lambda: transaction(opaque_result), "the result of transaction opaque_result"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_step_is_refused_at_once_with_file_line_and_mend(case: str) -> None:
    define, what = REFUSED[case]
    with pytest.raises(DefinitionError, match=what) as refused:
        define()
    assert refused.value.mend
    assert case == "a partial" or re.search(r"test_step\.py:\d+$", refused.value.where)


def test_retries_and_a_policy_together_are_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        step(retries=2, retry=Retry(3))(plain)


def test_an_unknown_name_in_a_result_is_refused_at_the_app() -> None:
    shop = Service("shop")

    @step
    async def price() -> "NoSuchClass":  # type: ignore[name-defined]  # noqa: F821
        return None

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await price()

    with pytest.raises(DefinitionError, match="an annotation of step price is unknown") as refused:
        App(shop)
    assert "NoSuchClass" in refused.value.mend


def test_a_parameter_may_have_a_type_that_only_the_type_checker_knows() -> None:
    def book(db: "Connection", order_id: str) -> str:
        return order_id

    assert transaction(book).result_codec.type_ is str


def test_a_forward_reference_is_resolved_when_the_module_is_complete() -> None:
    made: Step[..., Any] = step(later)
    assert made.result_codec.decode(b"[1]") == (1,)


def later() -> "Later":
    return (1,)


Later = tuple[int]


def test_outside_an_execution_a_step_simply_runs() -> None:
    @step
    async def charge(order_id: str, *, amount: int = 1) -> str:
        return f"{order_id}:{amount}"

    @step(retries=3)
    def count(text: str) -> int:
        return len(text)

    async def story() -> None:
        assert await charge("o1", amount=2) == "o1:2"
        assert await charge("o1") == "o1:1"
        assert await count("four") == 4

    asyncio.run(story())
    assert count.fn("four") == 4


def test_a_wrong_argument_is_noticed_where_the_call_is_made() -> None:
    made = step(plain)
    with pytest.raises(TypeError, match="order_id"):
        made(no="such")  # type: ignore[call-arg]


def test_a_step_keeps_name_docstring_and_function() -> None:
    @step(name="charge_card")
    def charge(order_id: str) -> str:
        """Charge it."""
        return order_id

    assert (charge.name, charge.__name__, charge.__doc__) == ("charge_card", "charge", "Charge it.")


def test_a_transaction_outside_a_handler_says_what_to_do() -> None:
    @transaction
    def book(db: object, order_id: str) -> None: ...

    async def story() -> None:
        with pytest.raises(NotInExecution, match=r"book\.fn\(connection"):
            await book("o1")

    asyncio.run(story())


def test_keyword_only_parameters_reach_the_step_and_its_undo_by_name() -> None:
    heard: list[object] = []
    shop = Service("shop")

    async def give_back(result: str, order_id: str, *, amount: int) -> None:
        heard.append((result, order_id, amount))

    @step(undo=give_back)
    async def charge(order_id: str, *, amount: int) -> str:
        heard.append((order_id, amount))
        return "c1"

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        from onstage import Reject

        await charge(e.id, amount=e.amount)
        raise Reject("no")

    async def story() -> None:
        async with playing(shop) as house:
            await house.settled(Placed("o1", 7))

    asyncio.run(story())
    assert heard == [("o1", 7), ("c1", "o1", 7)]


def test_an_argument_that_cannot_be_encoded_is_the_programmers_error() -> None:
    shop = Service("shop")

    @step
    async def charge(till: Any) -> None: ...

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await charge(Opaque())
        return Paid(e.id)

    async def story() -> str:
        async with playing(shop) as house:
            return await house.aside(Placed("o1"))

    why = asyncio.run(story())
    assert why.startswith("onstage.errors.UsageError: an argument of step charge cannot be stored (")
    assert "test_step.py:" in why
    assert "to do: pass plain data" in why


def test_a_result_that_is_not_what_the_annotation_says_is_the_programmers_error() -> None:
    shop = Service("shop")

    @step
    async def charge() -> int:
        return "seven"  # type: ignore[return-value]

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await charge()
        return Paid(e.id)

    async def story() -> str:
        async with playing(shop) as house:
            return await house.aside(Placed("o1"))

    assert "step charge returned str, not what its annotation says" in asyncio.run(story())


@dataclass
class Share:
    """Its own code raises what it likes."""

    part: int
    whole: int

    def __post_init__(self) -> None:
        self.ratio = self.part / self.whole


def test_a_result_that_its_own_class_refuses_to_read_sets_the_execution_aside() -> None:
    shop = Service("shop")

    @step
    async def divide() -> Share:
        share = Share(1, 1)
        share.whole = 0
        return share

    @shop.on(Placed)
    async def take(e: Placed) -> Paid:
        await divide()
        return Paid(e.id)

    async def story() -> str:
        async with playing(shop) as house:
            return await house.aside(Placed("o1"))

    said = asyncio.run(story())
    assert "step divide returned Share, not what its annotation says" in said
    assert "why: division by zero" in said


def test_hashes_of_arguments_do_not_depend_on_the_order_of_keys() -> None:
    made = step(plain)
    assert made.hash_of(({"a": 1, "b": 2},)) == made.hash_of(({"b": 2, "a": 1},))
    with pytest.raises(UsageError, match="an argument of step plain"):
        made.hash_of((Opaque(),))


def test_a_pivot_has_no_undo() -> None:
    async def back(result: None) -> None: ...

    async def go() -> None: ...

    with pytest.raises(DefinitionError, match="is a pivot and has an undo"):
        step(pivot=True, undo=back)(go)
    assert step(pivot=True)(go).is_pivot
    assert not step(undo=back)(go).is_pivot
