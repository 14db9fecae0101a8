"""Completion of a step from outside: what was said under a token, kept until the step takes it.

Theory of operation. What comes is a note, durable when `complete` or `fail` returns; it wakes the execution. The step
takes it in the commit that records its result, and the note is dropped in that very commit: so it is taken once,
whether it came before the execution was parked, while no node ran, or twice. The first outcome counts: whoever comes
when the step has ended by itself, be it not yet on disk, is refused.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections import deque
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final, NoReturn, final

import msgspec

from onstage.core.commit import Commit, Note, Notes, RefusedBecause, execution_id, handler_of
from onstage.core.journal import Attempted, Continued, Failed, HandedOver, Held, Stepped, TokenDrawn, is_final
from onstage.core.outcome import Outcome
from onstage.errors import StoreUnavailable, UsageError
from onstage.events.codec import DecodeFailed
from onstage.events.envelope import EVENT_BYTES_MAX
from onstage.events.receipt import Status
from onstage.ports.store import Refused
from onstage.runtime.long_step import HEARTBEATS, Token, number_of
from onstage.runtime.undo_registry import durables_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onstage.core.journal import Entry
    from onstage.ports.store import BatchOutcome, Stored
    from onstage.runtime.frame import Frame
    from onstage.runtime.node import Node
    from onstage.runtime.step import Durable

__all__ = ["COMPLETION_BYTES_MAX", "NO_COMPLETIONS", "TOKEN_CHARS_MAX", "Completions", "outcome_of"]

COMPLETION_BYTES_MAX: Final = EVENT_BYTES_MAX
TOKEN_CHARS_MAX: Final = 2_048
PAGE: Final = 1_000
_TOPIC: Final = "completion"


@final
class _NoCompletions:
    """Stands for the completions of a rehearsal: nobody says anything."""

    @staticmethod
    def knows(_execution: int, _position: str) -> bool:
        return False


NO_COMPLETIONS: Final = _NoCompletions()


@final
class Completions:
    """What was said under tokens and is not taken yet, of one node."""

    def __init__(self, node: Node) -> None:
        """Nothing is known before `load`."""
        self._node = node
        self._kept: dict[int, Outcome] = {}
        self._going: deque[tuple[int, Outcome]] = deque()
        self._steps: dict[int, dict[str, Durable[Any]]] = {}

    async def load(self) -> None:
        """Read what is kept, and forget what belongs to executions that have ended; heartbeats of these as well."""
        stale = [place for topic in (_TOPIC, HEARTBEATS) for place in await self._load(topic)]
        if stale:
            self._node.append(Commit(epoch=self._node.epoch, notes=Notes(dropped=stale)), None)
            self._node.store.flush()

    async def _load(self, topic: str) -> list[tuple[str, int, int]]:
        reader, after, stale = self._node.store.reader, -1, list[tuple[str, int, int]]()
        while page := await reader.notes(topic, after=after, limit=PAGE):
            after = page[-1].number
            for note in page:
                execution: int = msgspec.msgpack.decode(note.body)[0]
                position: str = msgspec.msgpack.decode(note.body)[1]
                stored = await reader.execution(execution)
                if stored is None or not Status(stored.execution.status).is_open or _ended(stored, position):
                    stale.append((topic, note.number, note.number))
                elif topic == _TOPIC:
                    self._kept[note.number] = msgspec.msgpack.decode(note.body, type=Outcome)
        return stale

    def wake(self) -> None:
        """Run what is parked and has been completed; at the start, when everything open is taken up."""
        for outcome in self._kept.values():
            delivery = self._node.open.get(outcome.execution)
            if delivery is not None and delivery.parked:
                self._node.unpark(delivery)

    def knows(self, execution: int, position: str) -> bool:
        """Whether somebody has said what this step came to, and nobody has taken it yet."""
        outcome = self._kept.get(number_of(execution, position)) if self._kept else None
        return outcome is not None and (outcome.execution, outcome.position) == (execution, position)

    def of(self, execution: int) -> list[Outcome]:
        """What was said of steps of one execution, and nobody has taken yet."""
        return [outcome for outcome in self._kept.values() if outcome.execution == execution]

    def take(self, frame: Frame, position: str, attempt: int) -> Outcome | None:
        """What was said of this step; it is dropped with the run's next commit.

        A failure that was said of an earlier attempt is dropped as well, and not answered.
        """
        if not self._kept:
            return None
        number = number_of(frame.delivery.id, position)
        outcome = self._kept.get(number)
        if outcome is None or (outcome.execution, outcome.position) != (frame.delivery.id, position):
            return None
        along = frame.takes_along()
        along.dropped.append((_TOPIC, number, number))
        along.taken.append(outcome)
        return None if outcome.data is None and outcome.attempt < attempt else outcome

    def dropping(self, position: int, outcomes: Sequence[Outcome]) -> None:
        """The commit at `position` drops the notes of these; if it is refused, they are taken again."""
        self._going.extend((position, outcome) for outcome in outcomes)

    def durable(self, batch: BatchOutcome) -> None:
        """A batch was written: what its commits have taken is gone, unless they were refused."""
        if not self._going:
            return
        position = batch.position
        refused = {refusal.commit.position for refusal in batch.refused}
        going = self._going
        while going and going[0][0] <= position:
            at, outcome = going.popleft()
            number = number_of(outcome.execution, outcome.position)
            if self._kept.get(number) is outcome and at not in refused:
                del self._kept[number]

    # From outside.

    async def complete(self, token: str, data: bytes | None, error: str | None, kind: str | None) -> str:
        """Complete the step behind this token with a result (JSON), or let its attempt fail; durable at the return.

        Saying the same twice is well. Raises UsageError for a token of another store or of nothing, for a step that
        has ended or that was completed otherwise, and for a result that does not fit its type.
        """
        named, execution, stored = await self._behind(token)
        if data is not None:
            data = self.as_result(execution, named.position, data)
        outcome = Outcome(execution, named.position, named.attempt, data, error, kind)
        what = f"step {named.position.removesuffix('#0')} of {stored.execution.handler}"
        said = "is completed" if data is not None else "has failed"
        if _is_over(stored, outcome, what) or await self._is_ending(outcome, what):
            return f"{what} {said}"
        await self.keep(outcome, what)
        return f"{what} {said}"

    async def _is_ending(self, outcome: Outcome, what: str) -> bool:
        """The same as `_is_over` for an end that is not durable yet."""
        frame = self._node.dispatcher.running.get(outcome.execution)
        if frame is None or not (
            frame.execution.fails_at(outcome.position) or _is_end(frame.execution.at(outcome.position))
        ):
            return False
        frame.driver.save(frame)
        await self._node.settle_window()
        stored = await self._node.store.reader.execution(outcome.execution)
        if stored is not None and _is_over(stored, outcome, what):
            return True
        _refuse_ending(what)

    async def _refuse_late(self, number: int, outcome: Outcome, what: str) -> None:
        """Refuse what was kept behind the end of the step: nobody will take it. Raises UsageError."""
        stored = await self._node.store.reader.execution(outcome.execution)
        is_taken = self._kept.get(number) is not outcome or any(going is outcome for _, going in self._going)
        if is_taken or stored is None or not _ended(stored, outcome.position):
            return
        del self._kept[number]
        self._node.append(Commit(epoch=self._node.epoch, notes=Notes(dropped=[(_TOPIC, number, number)])), None)
        self._node.store.flush()
        if not _is_over(stored, outcome, what):
            _refuse_ending(what)

    async def keep(self, outcome: Outcome, what: str, commit: Commit | None = None) -> None:
        """Keep what was said of a step until it is taken, in `commit` if it is given; durable when this returns.

        Raises UsageError if something else was said of it before; `what` names the step.
        """
        number, node = number_of(outcome.execution, outcome.position), self._node
        earlier = self._kept.get(number)
        if earlier == outcome and commit is None:
            await node.settle_window()
            return
        is_first = earlier is None or (earlier.data is None and earlier.attempt < outcome.attempt)
        if not is_first and earlier != outcome:
            _refuse(f"{what} was completed otherwise", "the first outcome counts", "look at it with `onstage show`")
        node.refuse_in_trouble()
        own = commit or Commit(epoch=node.epoch)
        own.notes = Notes((Note(_TOPIC, number, msgspec.msgpack.encode(outcome)),))
        self._kept[number] = outcome
        position = node.append(own, None)
        delivery = node.open.get(outcome.execution)
        if delivery is not None and commit is None:
            node.nudge(delivery, position)
        node.store.flush()
        try:
            await node.store.durable(position)
        except Refused as refused:
            self._kept.pop(number, None)
            if refused.refusal.because == RefusedBecause.CONFLICT:
                _refuse(f"{what} was dealt with meanwhile", "somebody else was quicker", "look at it again")
            raise StoreUnavailable(
                "the completion was not stored\n  why: another node took the store over\n  to do: send it again"
            ) from refused
        await self._refuse_late(number, outcome, what)

    async def _behind(self, token: str) -> tuple[Token, int, Stored]:
        named = _read(token)
        n = self._node.numbers.identity.local(named.event)
        if n is None:
            store = named.event.partition("-")[0]
            _refuse(f"this token is of store {store}", "its step runs there", "send it to a node on that store")
        execution = execution_id(n, named.handler)
        stored = await self._node.store.reader.execution(execution)
        drawn = (
            [entry for entry in _since_renewal(stored) if entry.position == f"token/{named.position}"] if stored else []
        )
        secret = drawn[0].secret if drawn and isinstance(drawn[0], TokenDrawn) else b""
        if stored is None or not compare_digest(secret or b"-", named.secret):
            _refuse("this token is unknown", "no step was ever given it here", "send the token as it was given")
        return named, execution, stored

    def as_result(self, execution: int, position: str, data: bytes) -> bytes:
        """The result as the step would have encoded it. Raises UsageError if it does not fit."""
        if len(data) > COMPLETION_BYTES_MAX:
            _refuse(f"the result has {len(data)} bytes", f"the limit is {COMPLETION_BYTES_MAX}", "send its address")
        name = position.rpartition("#")[0].rpartition("/")[2]
        step = self._steps_of(handler_of(execution)).get(name)
        if step is None:  # it is checked when it is taken
            return data
        try:
            return bytes(step.result_codec.encode(step.result_codec.read(data)))
        except DecodeFailed as error:
            _refuse(f"the result does not fit step {name}", str(error), f"send what {step.where} returns")

    def _steps_of(self, handler: int) -> dict[str, Durable[Any]]:
        reaction = self._node.reactions.get(handler)
        if handler not in self._steps and reaction is not None:
            self._steps[handler] = {each.name: each for each in durables_of([reaction.fn])}
        return self._steps.get(handler, {})


def _read(token: str) -> Token:
    if len(token) > TOKEN_CHARS_MAX:
        _refuse("this is no completion token", "it is too long", "send the token as it was given")
    try:
        raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        return msgspec.msgpack.decode(raw, type=Token)
    except (ValueError, RecursionError):
        _refuse("this is no completion token", "it cannot be read", "send the token as it was given")


def _is_over(stored: Stored, outcome: Outcome, what: str) -> bool:
    """Whether just this has been recorded already. Raises UsageError if the step ended in another way."""
    newest: dict[str, Entry] = {entry.position: entry for entry in _since_renewal(stored)}
    entry = newest.get(outcome.position)
    if isinstance(entry, Stepped):
        if entry.result == outcome.data:
            return True
        _refuse(f"{what} has ended already", "it has another result", "look at it with `onstage show`")
    if isinstance(entry, Attempted | Failed | HandedOver) and outcome.data is None:
        failed = entry.attempts - isinstance(entry, HandedOver)
        if failed >= outcome.attempt:
            return True
    if isinstance(entry, Failed) or not Status(stored.execution.status).is_open:
        _refuse(f"{what} has ended already", "nobody waits for it any more", "look at it with `onstage show`")
    return False


def _refuse_ending(what: str) -> NoReturn:
    _refuse(f"{what} is about to end", "what it came to is not settled yet", "send it again")


def _ended(stored: Stored, position: str) -> bool:
    """Whether what is durable of the execution has an end of the call at this position."""
    newest = [entry for entry in _since_renewal(stored) if entry.position == position][-1:]
    return any(map(_is_end, newest))


def _is_end(entry: Entry | None) -> bool:
    return entry is not None and (is_final(entry) or isinstance(entry, Held))


def _since_renewal(stored: Stored) -> Sequence[Entry]:
    """What was recorded since the journal began anew, if it has: positions are used again then."""
    begun = max((at for at, entry in enumerate(stored.entries) if isinstance(entry, Continued)), default=-1)
    return stored.entries[begun + 1 :]


def _refuse(what: str, why: str, mend: str) -> NoReturn:
    raise UsageError(f"{what}\n  why: {why}\n  to do: {mend}")


def outcome_of(error: str | BaseException) -> tuple[str, str | None]:
    """The text and the name of what `fail` was given."""
    if isinstance(error, BaseException):
        return str(error) or type(error).__name__, type(error).__qualname__
    return error, None
