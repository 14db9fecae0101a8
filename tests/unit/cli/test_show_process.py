"""`onstage show`: one process as a tree."""

from typing import Any

from tests.unit.cli.apart_stage import play_apart


def test_a_process_is_found_by_key_and_by_id(tiny: Any) -> None:
    tiny.play(("o1", 5))
    shown = tiny.json("show", "o1")
    assert shown["verdict"]["status"] == "completed"
    assert tiny.json("show", shown["process"]) == shown


def test_the_tree_has_what_led_to_what(tiny: Any) -> None:
    tiny.play(("o1", 5))
    (root,) = tiny.json("show", "o1")["events"]
    (payment,) = root["executions"]
    assert (root["type"], payment["handler"], payment["journal"]) == (
        "order-placed",
        "payment.take_payment",
        ["step charge"],
    )
    assert payment["emitted"][0]["executions"][0]["handler"] == "mail.thank"


def test_a_stuck_process_says_what_to_do(tiny: Any) -> None:
    tiny.play(("o3", -1))
    result = tiny.run("show", "o3")
    assert result.exit_code == 1
    assert "ValueError: a negative amount" in result.stdout
    assert "onstage dead retry" in result.stdout


def test_a_wait_says_for_what_and_until_when(tiny: Any) -> None:
    tiny.play(("o2", 2000))
    text = tiny.run("show", "o2").stdout
    assert "waiting for order-approved until" in text
    assert "(in 23h" in text


def test_an_unknown_key_is_a_problem(tiny: Any) -> None:
    tiny.play(("o1", 5))
    result = tiny.run("show", "o9")
    assert result.exit_code == 1
    assert "there is no process with key or id o9" in result.stderr


def test_following_a_process_that_has_ended_shows_it_once(tiny: Any) -> None:
    tiny.play(("o1", 5))
    assert tiny.run("show", "o1", "--follow").stdout.count("order-placed #") == 1


def test_an_observers_tree_goes_through_all_services(tiny: Any) -> None:
    (process,) = play_apart(tiny, ("o1", 5))
    for name in ("o1", process):
        (placed,) = tiny.json("show", name, "--store", "sqlite:///view.db")["events"]
        (paying,) = placed["executions"]
        (paid,) = paying["emitted"]
        assert [each["handler"] for each in paid["executions"]] == ["mail.thank"]
        assert placed["from_outside"]
        assert not paid["from_outside"]


def test_a_part_is_found_by_key_and_by_public_id_and_says_where_its_events_are_from(tiny: Any) -> None:
    _, process = play_apart(tiny, ("o1", 5), ("o2", 5))
    for name in ("o2", process):  # the number in its public id is another than the one it has here
        shown = tiny.run("show", name, "--store", "sqlite:///mail.db")
        assert '  from payment  {"order_id":"o2"}' in shown.stdout
    assert tiny.run("show", "o3", "--store", "sqlite:///mail.db").exit_code == 1


def test_a_dead_letter_in_an_observers_store_says_whose_it_is(tiny: Any) -> None:
    play_apart(tiny, ("o1", -1))
    shown = tiny.run("show", "o1", "--store", "sqlite:///view.db").stdout
    assert "`onstage dead retry` (or drop) on the store of payment" in shown
    assert "`onstage dead retry 65537`" in tiny.run("show", "o1", "--store", "sqlite:///payment.db").stdout
