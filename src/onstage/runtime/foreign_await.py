"""Notices handlers that await something outside a step, and says so once per handler, with file and line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onstage.runtime.frame import Frame

__all__ = ["foreign_await"]

log = logging.getLogger("onstage.handler")


def foreign_await(frame: Frame) -> None:
    """The handler suspends and none of its durable calls is under way: warn, unless calls it has made may yet begin.

    Such are the calls given to `asyncio.gather` or to tasks of a group: they begin a turn of the loop later.
    """
    reaction = frame.reaction
    if reaction.warned or frame.made or frame.parked is not None:
        return
    reaction.warned = True
    log.warning(
        "%s awaits something that is not a durable call, at %s\n"
        "  why: on replay it happens again, and it may leave the node before its cause is durable\n"
        "  to do: put it into a @step",
        reaction.name,
        _place(frame),
    )


def _place(frame: Frame) -> str:
    """Where the handler stands: its own line, not that of what the node wraps around it."""
    inner: Any = frame.coroutine
    while inner is not None and getattr(inner, "cr_code", None) is not frame.reaction.fn.__code__:
        inner = getattr(inner, "cr_await", None)
    if inner is None or inner.cr_frame is None:
        return frame.reaction.handler.where
    return f"{inner.cr_code.co_filename}:{inner.cr_frame.f_lineno}"
