"""I12: where receipts, processes and executions do not add up is seen."""

from tests.unit.testing.checks.filing import EMPTY, File, settled

from onstage.events.receipt import Receipt, Status
from onstage.testing.checks.accounts import unbalanced, wrong_outcomes


def test_one_settled_obligation_adds_up(file: File) -> None:
    file.event(1)
    file.process(1)
    file.execution(1, Status.DONE)
    file.receipts(settled(1))
    assert list(unbalanced(file.look())) == []
    file.do("delete from onstage_receipt")
    assert list(unbalanced(file.look())) == ["execution 65537 was settled 0 times"]


def test_each_kind_of_imbalance_is_named(file: File) -> None:
    file.process(1, is_open=1)
    file.process(2, ended=None)
    file.execution(3, Status.READY)
    file.receipts(Receipt(1, 1, 0, 0, 0, 1, b"x" * 16), seq=2)
    found = list(unbalanced(file.look()))
    for what in (
        "receipts of (1, 1) are not dense: [2]",
        "execution 196609 has no event",
        "process 1: the ledger differs from its receipts",
        f"process 1: 1 open, digest {EMPTY.hex()}",
        "process 1: 1 open, counted 0",
        "process 2: 0 open, ended at None",
    ):
        assert what in found
    file.do("update onstage_receipt set seq = 1")
    file.receipts(settled(9), seq=1)
    assert "a receipt stands there twice" in list(unbalanced(file.look()))


def test_an_outcome_is_the_first_that_receipts_put_out(file: File) -> None:
    file.process(1, declared="order", outcome="a.end")
    file.process(2, declared="order")
    file.receipts(settled(1, outputs=((5, 2), (4, 1))), settled(2, outputs=((6, 1),)))
    assert list(wrong_outcomes(file.look(), {"order": {"a.end"}})) == []
    assert list(wrong_outcomes(file.look(), {"order": {"a.end", "a.b"}})) == [
        "process 1 came to a.end, its receipts say a.b",
        "process 2 came to None, its receipts say a.b",
    ]


def test_an_outcome_that_the_engine_itself_emits_counts_if_it_is_named(file: File) -> None:
    file.process(1, declared="order", outcome="a.end")
    file.event(1)
    file.event(2, type=2, process=1)
    file.receipts(settled(1, outputs=((3, 2),)))
    decisive = {"order": {"a.end"}}
    assert list(wrong_outcomes(file.look(), decisive, {"a.end"})) == []
    file.process(4, declared="order")
    file.event(5, type=2, process=4)
    assert list(wrong_outcomes(file.look(), decisive)) == []
    assert list(wrong_outcomes(file.look(), decisive, {"a.end"})) == ["process 4 came to None, its receipts say a.end"]
