"""Every public exception of Onstage: one tree, split by who must act.

``OnstageError`` is the root. Below it: ``DefinitionError`` (the programmer, before anything runs),
``UsageError`` (the caller of the API), ``OperationError`` (the operator of a node) and ``HandlerError``
(raised by or into the code of a handler or step). A deadline raises the builtin ``TimeoutError``.

Every exception survives ``pickle`` and ``copy``: what it was made of is in ``args``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = [
    "AmbiguousProcess",
    "AskFailed",
    "AwaitedTwice",
    "BrokerUnavailable",
    "Cancelled",
    "CompletedElsewhere",
    "CompletionFailed",
    "DefinitionError",
    "Diverged",
    "DuplicateId",
    "HandlerError",
    "InsideStep",
    "InvalidEvent",
    "KeyMissing",
    "NodeRunning",
    "NotInExecution",
    "OnstageError",
    "OperationError",
    "Reject",
    "RetryAfter",
    "SchemaTooNew",
    "SealBroken",
    "StateChanged",
    "StepFailed",
    "StoreBusy",
    "StoreUnavailable",
    "UndeclaredEvent",
    "UsageError",
    "WillNeverHappen",
    "refusal",
]


class OnstageError(Exception):
    """The root of the tree: catch it to catch everything Onstage raises on purpose."""


# --- the programmer, at import or at App(...) -------------------------------------------------------------


@final
class DefinitionError(OnstageError):
    """A definition is refused before anything runs: change the code at ``where`` as ``mend`` says.

    The text has three lines: what (with file and line), why, and what to do. The parts are attributes.
    """

    def __init__(self, what: str, why: str, mend: str, where: str) -> None:
        """Keep the four parts, each on one line; ``where`` is ``"file.py:12"`` or empty."""
        super().__init__(*(" ".join(part.split()) for part in (what, why, mend, where)))
        self.what, self.why, self.mend, self.where = self.args

    @classmethod
    def refusal(cls, what: str, why: str, mend: str, where: str) -> DefinitionError:
        """Make the error; the same as the constructor, by the name the other modules use."""
        return cls(what, why, mend, where)

    def __str__(self) -> str:
        """Return the three lines (fewer if a part is empty)."""
        lines = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.mend:
            lines.append(f"  to do: {self.mend}")
        return "\n".join(lines)


refusal = DefinitionError.refusal


# --- the caller -------------------------------------------------------------------------------------------


class UsageError(OnstageError):
    """The caller asked for something that cannot be done: correct the call, then repeat it."""


@final
class InvalidEvent(UsageError):
    """An event is malformed, too large, of an unknown type, or breaks its schema: correct and resend it.

    Nothing was stored. The text names the attribute or field and the reason.
    """


@final
class DuplicateId(UsageError):
    """The same id came before with another payload: draw a new id, or send the first payload again.

    What was stored the first time is untouched.
    """


@final
class AmbiguousProcess(UsageError):
    """Two open processes could take this event: name the one you mean with ``process=``."""


@final
class NotInExecution(UsageError):
    """A durable call outside a handler or workflow: make it inside one, or use the stage or a client."""


@final
class InsideStep(UsageError):
    """A durable call inside a step or transaction: move it into the handler that calls the step."""


@final
class UndeclaredEvent(UsageError):
    """The contract lacks this emission or wait: add it to the return annotation, ``emits=`` or ``waits=``."""


@final
class AwaitedTwice(UsageError):
    """One durable call was awaited twice: keep its result in a variable, or make a second call."""


# --- the operator -----------------------------------------------------------------------------------------


class OperationError(OnstageError):
    """The surroundings of a node are not as they must be: the operator acts, the code is not at fault."""


@final
class StoreUnavailable(OperationError):
    """The store cannot be reached or written: check its URL, its disk and its permissions, then retry.

    What was acknowledged before is durable; whatever raised this was not stored.
    """


@final
class BrokerUnavailable(OperationError):
    """The broker does not answer: check its URL and whether it runs; work goes on by itself when it does.

    What was accepted before is durable in the stores, and is published as soon as the broker is there again.
    """


@final
class StoreBusy(OperationError):
    """The store took longer than its limit: retry later; if it persists, look for a long transaction."""


@final
class NodeRunning(OperationError):
    """Another node holds this store file: stop it, use ``connect`` for a client, or use PostgreSQL."""


@final
class SchemaTooNew(OperationError):
    """A newer Onstage wrote this store: upgrade this installation, or restore a backup of before."""


@final
class KeyMissing(OperationError):
    """A payload was sealed with a key that the codec does not have: give it that key, then retry. Nothing is lost."""


@final
class SealBroken(OperationError):
    """A sealed payload does not open: the key is another one, or the payload was changed or moved."""


# --- in handlers and steps --------------------------------------------------------------------------------


class HandlerError(OnstageError):
    """Raised by, or into, the code of a handler, workflow or step."""


@final
class StepFailed(HandlerError):
    """A step used up its attempts: catch it to go on another way, or let it end this attempt.

    ``step`` is the step's name, ``error`` the last error as text, ``attempts`` how often it was tried.
    """

    def __init__(self, step: str, error: str, attempts: int) -> None:
        """Keep the three parts."""
        super().__init__(step, error, attempts)
        self.step, self.error, self.attempts = step, error, attempts

    def __str__(self) -> str:
        """Return the step, the number of attempts and the last error."""
        plural = "attempt" if self.attempts == 1 else "attempts"
        return f"step {self.step} failed after {self.attempts} {plural}: {self.error}"


@final
class AskFailed(HandlerError):
    """Whoever was asked said no, or will never answer: catch it to go on another way, or let it end this attempt.

    ``request`` is the type that was asked, ``kind`` what became of it (``rejected``, ``cancelled``, ``dropped``,
    ``terminated``, ``written off`` when its handler is gone and was retired, or ``unanswered`` when all that it obliged
    has ended without a word), ``reason`` why. A workflow that was started is asked for its result in the same way; then
    ``request`` is the workflow's name (``orders.fulfil``).
    """

    def __init__(self, request: str, kind: str, reason: str) -> None:
        """Keep the three parts."""
        super().__init__(request, kind, reason)
        self.request, self.kind, self.reason = request, kind, reason

    def __str__(self) -> str:
        """Return what was asked, what became of it, and why."""
        said = f"{self.request} was {self.kind}"
        return said if self.reason in ("", self.kind) else f"{said}: {self.reason}"


@final
class WillNeverHappen(HandlerError, TimeoutError):
    """What a wait waits for cannot come any more: nobody who could emit it has anything left to do in this process.

    It is a ``TimeoutError``, so that a handler which deals with that deals with this, only sooner. Let it pass, and the
    execution is set aside at once. ``types`` are the event types that were awaited.
    """

    def __init__(self, types: tuple[str, ...]) -> None:
        """Keep what was awaited."""
        super().__init__(types)
        self.types = types

    def __str__(self) -> str:
        """Return what will not come, and why."""
        named = " or ".join(self.types)
        return f"{named} will never happen: nothing that is open in this process can lead to it"


@final
class Cancelled(BaseException):
    """Raised by a durable call of an execution that somebody cancelled: tidy up in ``finally``, then let it pass.

    No ``except Exception`` catches it. It is raised once, even across crashes; durable calls made after it work as
    ever. If it leaves the handler, finished steps that have an undo are undone, and the execution ends as cancelled. A
    handler that catches it and returns has ended as if nothing had been.
    """

    def __init__(self, reason: str = "cancelled") -> None:
        """Keep who or what cancelled it, as text."""
        super().__init__(reason)
        self.reason = reason


@final
class CompletedElsewhere(HandlerError):
    """Raise it in a step with ``completion_timeout=``: somebody outside completes this step by its token.

    The execution is parked, as rows in the store and nothing else, until ``stage.complete(token, value)``,
    ``stage.fail(token, error)`` or the end of the time.
    """


@final
class CompletionFailed(HandlerError):
    """Somebody outside said that a step failed: an attempt that is retried like any other. ``error`` is the text."""

    def __init__(self, error: str) -> None:
        """Keep the text."""
        super().__init__(error)
        self.error = error


@final
class StateChanged(HandlerError):
    """Another execution changed this state since it was read here: read it again, decide anew, then set it.

    Nothing was written. Handlers that keep state take turns by key, so it comes only to one that let go of its lane in
    between: by `lane="until-wait"`, or as a dead letter of `on_failure="park"`.
    """


@final
class Reject(HandlerError):
    """Raise it to say no for business reasons: no retry, the scope is aborted, finished steps are undone."""

    def __init__(self, reason: str) -> None:
        """Keep ``reason``, which is stored and shown with the process."""
        super().__init__(reason)
        self.reason = reason


@final
class RetryAfter(HandlerError):
    """Raise it in a step to set the delay before the next attempt; the attempt counts as failed.

    ``delay`` is ``"30s"``, a ``timedelta`` or seconds as a number; it is parsed where it is obeyed.
    """

    def __init__(self, delay: str | timedelta | float, reason: str = "") -> None:
        """Keep the delay and why it is asked for."""
        super().__init__(delay, reason)
        self.delay, self.reason = delay, reason

    def __str__(self) -> str:
        """Return the delay and the reason."""
        return f"retry after {self.delay}" + (f": {self.reason}" if self.reason else "")


@final
class Diverged(HandlerError):
    """The code no longer does what the journal says it did: restore it, use ``patched``, or cancel.

    ``diff`` shows the recorded and the present call. The execution is kept as it is, nothing is lost.
    """

    def __init__(self, diff: str) -> None:
        """Keep the text that shows both sides."""
        super().__init__(diff)
        self.diff = diff
