"""What somebody outside said of a step that was handed over: its result, or why it failed."""

from __future__ import annotations

import msgspec

from onstage.errors import CompletionFailed

__all__ = ["Outcome"]


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What was said under a token: the result (JSON), or the error as text and, if it was one, its exception's name."""

    execution: int
    position: str
    attempt: int
    data: bytes | None
    error: str | None = None
    kind: str | None = None

    def as_error(self, give_up_on: tuple[type[Exception], ...]) -> Exception:
        """The failure as an exception: one of these, if that was named, else CompletionFailed."""
        text = self.error or ""
        named = next((kind for kind in give_up_on if self.kind in (kind.__name__, kind.__qualname__)), None)
        try:
            return CompletionFailed(text) if named is None else named(text)
        except TypeError:  # its constructor takes something else
            return CompletionFailed(text)
