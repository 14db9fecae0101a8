import re
from pathlib import Path

import pytest
from jinja2.exceptions import UndefinedError

import onstage.web
from onstage.web.links import Links
from onstage.web.rendering import render, tone

STYLE = (Path(onstage.web.__file__).parent / "static/onstage.css").read_text()
COLOURS = {
    name: (light, dark)
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", STYLE)
}
PAIRS = [
    *((word, ground) for word in ("text", "muted", "link") for ground in ("ground", "panel", "sunken", "selected")),
    *((verdict, f"{verdict}-ground") for verdict in ("running", "waiting", "stuck", "completed", "dead-end")),
    *((verdict, ground) for verdict in ("running", "waiting", "stuck", "completed") for ground in ("panel", "ground")),
    ("on-accent", "accent"),
]


def problem(*lines: str) -> str:
    return render("problem.html", at=Links(), title=lines[0], lines=lines)


def test_markup_in_values_is_text() -> None:
    assert "<script>alert" not in problem("<script>alert(1)</script>")
    assert "&lt;script&gt;" in problem("<script>alert(1)</script>")


def test_characters_that_nobody_sees_are_shown() -> None:
    assert "txt\\x202eexe\\x00" in problem("txt\u202eexe\0")


def test_a_template_that_asks_for_what_is_not_there_fails() -> None:
    with pytest.raises(UndefinedError):
        render("problem.html", at=Links(), title="no lines")


@pytest.mark.parametrize(
    ("status", "expected"), [("done", "done"), ("dead letter", "stuck"), ("retrying", "waiting"), ("odd", "quiet")]
)
def test_a_status_has_a_tone(status: str, expected: str) -> None:
    assert tone(status) == expected


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("word", "ground"), PAIRS)
def test_words_are_readable_in_light_and_dark(word: str, ground: str) -> None:
    found = [contrast(*pair) for pair in zip(COLOURS[word], COLOURS[ground], strict=True)]
    assert min(found) >= 4.5, f"{word} on {ground}: {found}"


def test_no_template_holds_a_script_or_a_style() -> None:
    folder = Path(onstage.web.__file__).parent / "templates"
    forbidden = re.compile(r"\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)|\|\s*safe|javascript:")
    found = {path.name: forbidden.findall(path.read_text()) for path in folder.glob("*.html")}
    assert len(found) > 10
    assert not {name: hits for name, hits in found.items() if hits}
