"""Errors as they are stored: type, text, the innermost places, every leaf of a group, within the limit."""

from onstage.runtime.error_text import ERROR_BYTES_MAX, error_text, leaves


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
