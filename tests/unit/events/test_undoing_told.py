"""What is told of the undoing of a process."""

import pytest

from onstage.events.codec import DecodeFailed
from onstage.events.undoing_told import UNDOING, UNDOING_TYPE, UndoingTold, decode_told, encode_told


def test_what_is_told_comes_back_as_it_was() -> None:
    told = UndoingTold("compensated with residue", "shop.refused", 5, 9, ("stock.reserve: gone",))
    assert decode_told(encode_told(told)) == told
    assert decode_told(b'{"state":"pivoted","reason":"left","since":1}') == UndoingTold("pivoted", "left", 1)


def test_it_is_an_event_of_its_own() -> None:
    assert (UNDOING_TYPE.name, UNDOING_TYPE.version) == (UNDOING, 1)


@pytest.mark.parametrize("data", [b"{}", b"no json", b"[" * 2_000])
def test_what_tells_nothing_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeFailed, match="what was told of an undoing"):
        decode_told(data)
