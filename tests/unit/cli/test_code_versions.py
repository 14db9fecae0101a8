"""`onstage versions`: the census of the code that open executions run on."""

from typing import Any


def test_open_executions_are_counted_by_the_code_they_ran_on(tiny: Any) -> None:
    tiny.play(("o1", 1000), ("o2", 1000), ("o3", 5))
    (row,) = tiny.json("versions")
    assert (row["handler"], row["is"], row["open"]) == ("payment.take_payment", "present", 2)
    tiny.rewrite(("a negative amount", "less than nothing"))
    tiny.play(("o4", 1000))
    older, present = sorted(tiny.json("versions"), key=lambda row: row["is"])
    assert [(row["is"], row["open"]) for row in (older, present)] == [("older", 2), ("present", 1)]
    assert older["code"] != present["code"]
    text = tiny.run("versions").output
    assert "3 open executions, 2 not on the present code" in text
    assert tiny.json("versions", "--handler", "mail.thank") == []
