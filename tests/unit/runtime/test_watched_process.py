"""What is written of a watched process."""

from onstage.observe.progress import NO_NODE, Progress, decode_progress
from onstage.observe.progress import UNDECLARED as PLAN
from onstage.ports.store import ProcessView
from onstage.runtime.watched_process import WatchedProcess

VIEW = ProcessView(7, "p-7", None, "o1", 1, 1, None, 0, None)


def test_each_row_follows_the_one_before() -> None:
    process = WatchedProcess(VIEW, PLAN, Progress(), 4)
    process.progress.block("7/1", "shop.take", NO_NODE, 10)
    row = process.row()
    assert (row.process, row.version, row.state, row.violated, row.due) == (7, 5, "stuck", 0, None)
    assert decode_progress(row.body).blocked == {"7/1": NO_NODE}
