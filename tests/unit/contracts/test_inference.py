"""Inference: what annotations and source tell, and the print of the code."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, Never, NoReturn, Optional, Union

import pytest

from onstage.contracts import inference
from onstage.contracts.inference import (
    code_fingerprint,
    declared_duration,
    declared_events,
    returned_events,
    waited_events,
)
from onstage.errors import DefinitionError
from onstage.events.event import event, event_type


@event
@dataclass
class A:
    x: int


@event
@dataclass
class B:
    x: int


class NotAnEvent:
    pass


Outcome = A | B
BOTH = (A, B)


async def wait(*events: object, timeout: str = "") -> Any: ...


wait.__onstage_wait__ = True  # type: ignore[attr-defined]
stage = ModuleType("stage")
stage.wait = wait  # type: ignore[attr-defined]


# --- returned events


RETURNS: list[tuple[object, list[type]]] = [
    (A, [A]),
    (A | B, [A, B]),
    (Outcome, [A, B]),
    (A | None, [A]),
    (Optional[A], [A]),  # noqa: UP045 - the old spelling counts as well
    (Union[B, A], [B, A]),  # noqa: UP007 - the old spelling counts as well
    (tuple[A, B], [A, B]),
    (tuple[A, ...], [A]),
    (tuple[()], []),
    (list[A], [A]),
    (list[A | B] | tuple[B, A] | None, [A, B]),
    (Annotated[A, "note"], [A]),
    (None, []),
    (NoReturn, []),
    (Never, []),
    ("A | B", [A, B]),
    ("list['A']", [A]),
    ("None", []),
]


@pytest.mark.parametrize(("annotation", "expected"), RETURNS, ids=str)
def test_the_return_annotation_is_what_may_be_emitted(annotation: object, expected: list[type]) -> None:
    async def handler(e: A) -> object: ...

    handler.__annotations__["return"] = annotation
    assert [known.cls for known in returned_events(handler)] == expected


def test_no_annotation_means_no_events() -> None:
    async def handler(e):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - the point of it
        ...

    assert returned_events(handler) == ()


def test_an_unknown_name_in_a_parameter_does_no_harm() -> None:
    async def handler(e: A) -> A: ...

    handler.__annotations__["e"] = "Nowhere"
    assert returned_events(handler) == (event_type(A),)


def test_names_of_the_closure_and_of_the_place_of_definition_are_understood() -> None:
    @event
    @dataclass
    class Local:
        x: int

    async def closing(e: A) -> "Local":
        return Local(1)

    async def naming(e: A) -> "Local | None": ...

    assert returned_events(closing) == (event_type(Local),)
    assert returned_events(naming, {"Local": Local}) == (event_type(Local),)
    with pytest.raises(NameError, match="Local"):
        returned_events(naming)


@pytest.mark.parametrize("annotation", [int, A | int, list[NotAnEvent], Any, object, "1 / 0", "A |", dict[str, A]])
def test_a_return_annotation_with_something_else_is_refused(annotation: object) -> None:
    async def handler(e: A) -> object: ...

    handler.__annotations__["return"] = annotation
    with pytest.raises(DefinitionError) as caught:
        returned_events(handler)
    what, why, mend = str(caught.value).splitlines()
    assert what.startswith(f"{__file__}:{handler.__code__.co_firstlineno}: handler ")
    assert "is not an event" in why or "cannot be evaluated" in why
    assert "return events" in mend


# --- waited events


async def helper() -> None:
    await deeper()


async def deeper() -> None:
    await wait(B)
    await helper()


async def far_1() -> None:
    await far_2()


async def far_2() -> None:
    await far_3()


async def far_3() -> None:
    await far_4()


async def far_4() -> None:
    await wait(A)


async def waits_plainly(e: A) -> None:
    match await wait(A, B, timeout="1h"):
        case _:
            await wait(A)


async def waits_through_a_module(e: A) -> None:
    """Waits are not looked for in words: wait(A)."""
    await stage.wait(B)


async def waits_for_a_tuple(e: A) -> None:
    await wait(*BOTH)
    await wait(Outcome)


async def waits_in_a_helper(e: A) -> None:
    await helper()


async def waits_too_far_away(e: A) -> None:
    await far_1()


async def waits_inside(e: A) -> None:
    async def inner() -> None:
        await wait(A | B)

    await inner()


async def waits_for_the_unknown(e: A) -> None:
    kind = type(e)
    await wait(kind, 5, NotAnEvent)


async def shadows(wait: Callable[[type], Any]) -> None:
    await wait(A)


async def never_waits(e: A) -> None:
    print(e.x)  # noqa: T201 - a call of something else


WAITS: list[tuple[Callable[..., Any], tuple[type, ...]]] = [
    (waits_plainly, (A, B)),
    (waits_through_a_module, (B,)),
    (waits_for_a_tuple, (A, B)),
    (waits_in_a_helper, (B,)),
    (waits_too_far_away, ()),
    (waits_inside, (A, B)),
    (waits_for_the_unknown, ()),
    (shadows, ()),
    (never_waits, ()),
    (len, ()),
]


@pytest.mark.parametrize(("fn", "expected"), WAITS, ids=lambda value: getattr(value, "__name__", ""))
def test_waits_are_found_in_the_source(fn: Callable[..., Any], expected: tuple[type, ...]) -> None:
    assert waited_events(fn) == expected


def test_a_wait_known_only_to_a_closure_is_found() -> None:
    mine, wanted = wait, B

    async def handler(e: A) -> None:
        await mine(wanted)

    assert waited_events(handler) == (B,)


def test_code_without_source_has_no_waits() -> None:
    names: dict[str, Any] = {"wait": wait, "A": A}
    exec("async def handler(e):\n    await wait(A)\n", names)  # noqa: S102 - the way to have no source
    assert waited_events(names["handler"]) == ()


def test_what_names_no_wait_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fn: object) -> str:
        raise AssertionError(fn)

    monkeypatch.setattr(inference.inspect, "getsource", refuse)
    assert waited_events(never_waits) == ()


# --- options


def test_events_and_durations_of_options_are_checked() -> None:
    assert declared_events("process p", "done", A, "x.py:1") == (event_type(A),)
    assert declared_events("process p", "done", [A, B, A], "x.py:1") == (event_type(A), event_type(B))
    assert declared_duration("process p", "deadline", "1m", "x.py:1") == 60
    with pytest.raises(DefinitionError, match=r"x.py:1: process p has NotAnEvent in done="):
        declared_events("process p", "done", [A, NotAnEvent], "x.py:1")
    with pytest.raises(DefinitionError, match=r"x.py:1: process p has 'soon' in deadline="):
        declared_duration("process p", "deadline", "soon", "x.py:1")
    with pytest.raises(DefinitionError, match="in time"):
        declared_duration("process p", "deadline", "0s", "x.py:1")


# --- the print of the code


def made(body: str) -> int:
    names: dict[str, Any] = {}
    exec(body, names)  # noqa: S102 - functions of the same name with different bodies
    return code_fingerprint(names["f"])


def test_the_print_sees_code_and_not_words_for_people() -> None:
    plain = made("def f(x):\n    return x + 1\n")
    assert plain == made("\n\n# a comment\ndef f(x):\n    return x + 1\n")
    assert plain == made("def f(x):\n    'A docstring.'\n    return x + 1\n")
    assert plain != made("def f(x):\n    return x + 2\n")
    assert plain != made("def f(x):\n    return x + 1.0\n")
    assert made("def f(x):\n    return a(x)\n") != made("def f(x):\n    return b(x)\n")
    assert made("f = lambda: (lambda: 1)\n") != made("f = lambda: (lambda: 2)\n")
    assert code_fingerprint(len) == 0


SCRIPT = """
from onstage.contracts.inference import code_fingerprint
def f(x):
    return x in {"a", "b", "c", "d"} or [y for y in x if (lambda: y)()]
print(code_fingerprint(f))
"""


def test_the_print_is_the_same_in_every_process() -> None:
    prints = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(prints) == 1
