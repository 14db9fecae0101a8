"""What is shown of an undoing travels as JSON."""

import msgspec

from onstage.web.shown_wave import UndoLine, WavePane


def test_a_pane_is_what_it_was_after_a_journey() -> None:
    line = UndoLine(round=1, handler="pay.take", step="charge#0", in_doubt=False, execution=65538, state="to come")
    pane = WavePane(
        state="compensating", reason="lost", since_ms=1, ended_ms=None, lines=(line,), rounds=1, total=1, left=1
    )
    assert msgspec.json.decode(msgspec.json.encode(pane), type=WavePane) == pane
