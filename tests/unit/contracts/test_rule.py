import msgspec

from onstage.contracts.rule import Rule

ONE = Rule(text="before(A, B)", kind="before", of=("a",), to=("b",))


def test_a_rule_is_named_by_its_text() -> None:
    assert ONE.id == Rule(text="before(A, B)", kind="never", of=("x",)).id
    assert ONE.id != Rule(text="before(A, C)", kind="before", of=("a",), to=("c",)).id
    assert len(ONE.id) == 8
    assert ONE.types == ("a", "b")


def test_rules_are_plain_values_in_the_order_of_their_texts() -> None:
    timed = Rule(text="at", kind="leads_to", of=("a",), to=("b",), within_ms=5)
    assert sorted([ONE, timed]) == [timed, ONE]
    assert msgspec.json.decode(msgspec.json.encode(timed), type=Rule) == timed
