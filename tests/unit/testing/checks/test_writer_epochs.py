"""I9: receipts of a writer that was over are seen."""

from tests.unit.testing.checks.filing import File, settled

from onstage.testing.checks.writer_epochs import stale_receipts


def test_epochs_go_forward_and_were_drawn(file: File) -> None:
    file.do("insert into onstage_incarnation values (2, 'j', 9, 0)")
    file.receipts(settled(1), epoch=1)
    file.receipts(settled(2), epoch=2)
    assert list(stale_receipts(file.look())) == []
    file.receipts(settled(3), epoch=1, seq=2)
    assert list(stale_receipts(file.look())) == ["receipts 3 were written in epoch 1, after 2"]
    file.receipts(settled(4), epoch=3)
    assert list(stale_receipts(file.look()))[1:] == ["receipts were written in epoch 3, the last one drawn is 2"]
