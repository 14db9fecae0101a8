"""Errors as they are stored: type, text, the innermost places, every leaf of a group, within the limit."""

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
