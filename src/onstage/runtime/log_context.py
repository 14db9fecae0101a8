"""Which execution a line of the log belongs to, taken from where it is written: a handler, or a step of it."""

from __future__ import annotations

import logging
from typing import Final, final

from onstage.runtime.frame import CURRENT, INSIDE_STEP

__all__ = ["KEYS", "LogContext"]

KEYS: Final = ("onstage_process", "onstage_execution", "onstage_handler", "onstage_step")
"""What a record is given: public ids of process and execution, names of handler and step; None outside of them.

An execution is named by its event and its handler, joined by a slash, as `causationid` of what it emits. A line that is
written while a handler runs may name what a crash then takes back: such an id is never given out again.
"""


@final
class LogContext(logging.Filter):
    """A filter that lets everything pass and adds `KEYS` to each record. Put it on handlers, not on loggers."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the keys."""
        inside = INSIDE_STEP.get()
        frame = CURRENT.get() if inside is None else inside[0]
        values: tuple[str | None, ...] = (None, None, None, None)
        if frame is not None:
            delivery, node = frame.delivery, frame.driver.node
            process, event = delivery.names or node.numbers.names(delivery.process, delivery.n)
            handler = frame.reaction.name
            values = (process, f"{event}/{handler}", handler, None if inside is None else inside[1])
        for key, value in zip(KEYS, values, strict=True):
            setattr(record, key, value)
        return True
