"""Errors as they are stored: type, text, the innermost places, every leaf of a group, within the limit."""

import asyncio
import traceback

import pytest

from onstage import App, Service, step
from onstage.errors import StepFailed, UsageError
from onstage.events.duration import seconds
from onstage.runtime.error_text import ERROR_BYTES_MAX, error_text, leaves, said, storable


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_the_type_the_text_and_the_place_are_there() -> None:
    text = error_text(raised(ValueError("no cover")))
    assert text.startswith("ValueError: no cover\n  at ")
    assert "test_error_text.py" in text


def noted() -> BaseException:
    error = ValueError("bad")
    error.add_note("while\ntrying")
    return error


def caused() -> BaseException:
    try:
        raise raised(KeyError("first")) from raised(OSError(2, "no file"))
    except KeyError as error:
        return error


def misspelt() -> BaseException:
    try:
        sorted_ = 1
        return sorte_ + sorted_  # type: ignore[name-defined,no-any-return]
    except NameError as error:
        return error


def unparsed() -> BaseException:
    try:
        compile("a = = 1", "file.py", "exec")
    except SyntaxError as error:
        return error
    raise AssertionError("it is no Python")


@pytest.mark.parametrize(
    "error",
    [ValueError(), ValueError(""), ValueError("two\nlines"), KeyError("k"), UsageError("what\n  why: so"),
     KeyboardInterrupt(), noted(), caused(), misspelt(), unparsed()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_an_error_is_told_as_a_traceback_tells_it(error: BaseException) -> None:
    told = "".join(traceback.format_exception_only(error)).strip()
    assert error_text(error.with_traceback(None)) == told


def test_a_group_shows_all_its_leaves() -> None:
    group = ExceptionGroup("many", [ValueError("a"), ExceptionGroup("more", [KeyError("b")])])
    assert error_text(group) == "ValueError: a\nKeyError: 'b'"
    assert [type(leaf) for leaf in leaves(group)] == [ValueError, KeyError]


def test_it_stays_within_its_limit() -> None:
    assert len(error_text(ValueError("x" * 100_000))) == ERROR_BYTES_MAX
    assert len(error_text(ValueError("\u20ac" * 100_000)).encode()) <= ERROR_BYTES_MAX


def test_half_a_character_is_written_as_an_escape() -> None:
    assert error_text(OSError("no file \udcff")) == r"OSError: no file \udcff"
    assert storable("\ud800" * 9_999) == r"\ud800" * (ERROR_BYTES_MAX // 6) + r"\u"
    assert storable("plain \u20ac") == "plain \u20ac"


def test_an_error_that_cannot_say_anything_is_called_by_its_type() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    assert said(Mute()) == "Mute"
    assert said(ValueError("no \udcff")) == r"no \udcff"


def test_the_places_are_those_of_the_program_and_not_of_the_engine() -> None:
    service = Service("shop")
    texts: list[str] = []

    @step
    async def crack(id: str) -> None:
        raise ValueError("no egg")

    @service.workflow
    async def cook(id: str) -> None:
        try:
            await crack(id)
        except StepFailed as error:
            texts.append(str(error))

    async def main() -> None:
        async with App(service).run("memory:") as stage:
            await (await stage.start(cook, "a")).result(timeout="10s")

    asyncio.run(main())
    places = [line for line in texts[0].splitlines() if line.startswith("  at ")]
    assert len(places) == 1
    assert places[0].endswith("in crack")


def test_a_call_that_was_used_wrongly_is_shown_where_it_was_made() -> None:
    with pytest.raises(ValueError, match="not a duration") as caught:
        seconds("1 hour")
    text = error_text(caught.value)
    assert "test_error_text.py" in text
    assert "duration.py" not in text


def test_an_error_of_the_engine_alone_keeps_its_places() -> None:
    with pytest.raises(TypeError) as caught:
        storable(None)  # type: ignore[arg-type]
    assert caught.value.__traceback__ is not None
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    assert "in storable" in error_text(error)
