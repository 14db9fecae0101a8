"""`onstage resume`."""

from typing import Any


def test_what_has_queued_goes_on(tiny: Any) -> None:
    tiny.play()
    assert tiny.run("pause", "payment").exit_code == 0
    tiny.play(("o1", 5))
    assert tiny.json("ps")[0]["verdict"] == "waiting"
    done = tiny.run("resume", "payment")
    assert done.exit_code == 0, done.output
    assert "payment goes on" in done.stdout
    tiny.play(("o2", 5))
    assert {row["verdict"] for row in tiny.json("ps")} == {"completed"}


def test_what_is_not_paused_cannot_be_resumed(tiny: Any) -> None:
    tiny.play()
    tiny.run("pause", "mail")
    done = tiny.run("resume", "payment")
    assert done.exit_code != 0
    assert "payment is not paused" in done.stderr
    assert "paused is: mail" in done.stderr


def test_a_dead_letter_is_not_resumed_by_it(tiny: Any) -> None:
    tiny.play(("o1", -1))
    assert "onstage dead retry" in tiny.run("resume", "--help").stdout
    assert tiny.run("resume", "payment.take_payment").exit_code != 0
    assert [row["status"] for row in tiny.json("dead", "ls")] == ["dead letter"]
