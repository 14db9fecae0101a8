"""Outside an execution every key is there, and empty: so that a format string may name it."""

import logging

from onstage.runtime.log_context import KEYS, LogContext


def test_a_record_from_outside_has_the_keys_without_values() -> None:
    record = logging.LogRecord("x", logging.INFO, "f.py", 1, "said", (), None)
    assert LogContext().filter(record)
    assert [getattr(record, key) for key in KEYS] == [None] * 4
