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


def test_a_process_is_shown_in_pages_that_make_up_the_whole(tiny: Any) -> None:
    tiny.play(("o1", 5))
    whole = tiny.json("show", "o1")
    assert whole["next"] is None
    pages, after = [], 0
    while after is not None:
        page = tiny.json("show", "o1", "--limit", "1", "--after", str(after))
        pages.append([event["type"] for event in page["events"]])
        after = page["next"]
    (root,) = whole["events"]
    (paid,) = root["executions"][0]["emitted"]
    assert pages == [["order-placed"], [paid["type"]]]
    assert "onstage show o1 --after" in tiny.run("show", "o1", "--limit", "1").stderr
    assert "--after" not in tiny.run("show", "o1", "--limit", "2").stderr


def test_a_key_that_began_again_has_generations(tiny: Any) -> None:
    tiny.play(("o1", 2000))
    assert tiny.run("emit", "order-placed", '{"order_id": "o1", "amount": 5}').exit_code == 0
    tiny.play(("o2", 5))
    shown = tiny.json("show", "o1")
    assert [(each["outcome"], each["open"]) for each in shown["generations"]] == [(None, 1), (None, 1)], (
        "one waits, one is behind it"
    )
    assert shown["process"] == shown["generations"][1]["process"], "the newest one is shown"
    said = tiny.run("show", "o1").stderr
    assert f"generation 2 of 2 of this key; the others: {shown['generations'][0]['process']}" in said
    older = tiny.run("show", shown["generations"][0]["process"])
    assert "generation 1 of 2" in older.stderr
    assert len(tiny.json("show", "o2")["generations"]) == 1
