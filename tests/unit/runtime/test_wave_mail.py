"""Messages between the parts of a process that is undone."""

import pytest

from onstage.events.codec import DecodeFailed
from onstage.runtime.wave_mail import (
    CancelEdge,
    EdgeUndone,
    Letter,
    OwnerAsked,
    OwnerSaid,
    decode_letter,
    encode_letter,
    kind_of,
)

LETTERS: list[Letter] = [
    CancelEdge("p", "e", "shop.take", waits=True, by="shop", reason="why", since=5, outcome="o"),
    EdgeUndone("p", "e", "shop.take", waits=False, residue=("shop.take: gone",)),
    OwnerAsked("p", "pivot", "why", "shop"),
    OwnerSaid("p", "pivot", "pivoted", "why", 5, "o"),
]


@pytest.mark.parametrize("letter", LETTERS)
def test_a_message_comes_as_it_was_sent(letter: Letter) -> None:
    assert decode_letter(kind_of(letter), encode_letter(letter)) == letter


def test_each_kind_has_a_word_of_its_own() -> None:
    assert [kind_of(letter) for letter in LETTERS] == ["cancel", "undone", "asked", "said"]


@pytest.mark.parametrize(
    ("kind", "data"), [("hello", encode_letter(LETTERS[0])), ("cancel", b"\x91\x01"), ("said", b"")]
)
def test_what_is_no_message_is_refused(kind: str, data: bytes) -> None:
    with pytest.raises(DecodeFailed, match="a message of an undoing"):
        decode_letter(kind, data)
