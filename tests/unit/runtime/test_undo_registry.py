"""Steps are found by their journaled names, without running a handler."""

import types

import pytest
from tests.unit.runtime.playhouse import Placed

from onstage import App, Service, step, transaction
from onstage.errors import DefinitionError
from onstage.runtime.step import Durable
from onstage.runtime.undo_registry import durables_of, undo_steps_of


def refund(result: str) -> None: ...


@step(undo=refund)
def in_the_module() -> str:
    return ""


@transaction
def book(db: object) -> None: ...


def module_with(durable: Durable[object]) -> types.ModuleType:
    made = types.ModuleType("steps")
    made.__dict__["in_another_module"] = durable
    return made


async def handler(e: Placed) -> None:
    await in_the_module()


def test_those_of_the_handlers_module_are_found() -> None:
    assert undo_steps_of([handler])[f"{__name__}:in_the_module"] is in_the_module
    assert book in durables_of([handler])


def test_those_in_a_closure_and_in_a_named_module_are_found() -> None:
    @step(undo=refund)
    def in_the_closure() -> str:
        return ""

    async def take(e: Placed) -> None:
        await in_the_closure()

    found = undo_steps_of([take])
    assert found[in_the_closure.undo_name or ""] is in_the_closure

    @step(undo=refund)
    def elsewhere() -> str:
        return ""

    source = "async def take(e):\n    await steps.in_another_module()\n"
    names: dict[str, object] = {"steps": module_with(elsewhere)}
    exec(source, names)  # noqa: S102
    assert list(undo_steps_of([names["take"]]).values()) == [elsewhere]  # type: ignore[list-item]


def test_a_name_that_is_not_assigned_yet_does_no_harm() -> None:
    shop = Service("shop")

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await later()

    assert App(shop).services == (shop,)
    later = in_the_module


def test_what_is_no_function_is_passed_over() -> None:
    assert durables_of([print]) == ()


def test_an_app_refuses_a_step_of_its_modules_that_cannot_work() -> None:
    shop = Service("shop")

    @step
    def broken() -> "Missing":  # type: ignore[name-defined]  # noqa: F821
        return None

    @shop.on(Placed)
    async def take(e: Placed) -> None:
        await broken()

    with pytest.raises(DefinitionError, match="an annotation of step broken is unknown"):
        App(shop)
