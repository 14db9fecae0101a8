"""`onstage skip`."""

from typing import Any


def test_a_dead_letter_goes_on_with_the_result_that_is_given(tiny: Any) -> None:
    tiny.rewrite(('return f"receipt {order_id}"', 'raise ConnectionError("the bank is closed")'))
    tiny.play(("o1", 5))
    assert tiny.json("show", "o1", code=1)["verdict"]["status"] == "stuck"
    (dead,) = tiny.json("dead", "ls")
    wrong = tiny.run("skip", "o1", "charge", "--result", "x")
    assert (wrong.exit_code, "the result is no JSON" in wrong.output) == (2, True)
    missing = tiny.run("skip", "o1", "nothing", "--result", "1")
    assert missing.exit_code == 2
    assert "no step nothing of this process can be skipped" in missing.stderr
    told = tiny.json("skip", "o1", "charge", "--result", '"by hand"')
    assert told["execution"] == dead["execution"]
    assert told["told"] == "step charge#0 counts as done with this result"
    assert tiny.run("skip", str(dead["execution"]), "charge", "--result", '"by hand"').exit_code == 0
    tiny.play(("o2", 2000))
    assert tiny.json("show", "o1")["verdict"]["status"] == "completed"
    assert [each["action"] for each in tiny.json("audit")].count("skip") == 2
