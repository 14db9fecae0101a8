"""What a simulated run appended, wrote and did, and whether it obeys the rules of the model of the writer.

`Trace` listens at the seams of the real engine: `Window.append` gives positions, `Writer._write` answers once a batch
is durable, `Writer._refuse` gives up a commit that cannot be written, `Frame.barrier` says what a step follows from and
`Faults.invoke` performs it. `broken_rules`
then replays the commits, life by life, by the rules of `writer_model`: what is refused, and nothing else, is what does
not fit or follows from something refused.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from onstage.core.commit import Commit, Refusal, RefusedBecause
from onstage.events.receipt import OPEN_MAX
from onstage.ports.store import ExecutionView
from onstage.runtime.frame import Frame
from onstage.stores.batch import Batch
from onstage.stores.sqlite.writer import Writer
from onstage.stores.window import Window
from onstage.testing.sim_faults import Faults


@dataclass
class Life:
    """One node from its start to its death: positions begin anew."""

    appended: list[Commit] = field(default_factory=list)
    written: list[Commit] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    effects: list[tuple[int, bool]] = field(default_factory=list)  # what they followed from; was it durable?

    def is_durable(self, position: int) -> bool:
        """Whether this commit is on disk; 0 stands for what an earlier life left there."""
        known = {commit.position for commit in self.written} - set(self.refused)
        return position == 0 or position in known


class Trace:
    """Everything that simulated nodes do to their stores from now on. `plant` refuses one commit of the first life."""

    def __init__(self, patch: pytest.MonkeyPatch, *, plant: int = 0) -> None:
        """Listen until `patch` is undone."""
        self.lives: list[Life] = []
        self._patch = patch
        self._around(Window, "append", self._append)
        self._around(Writer, "_write", self._write)
        self._around(Writer, "_refuse", self._refuse)
        self._around(Batch, "_refusal", self._refusal)
        self._around(Frame, "barrier", self._barrier)
        self._around(Faults, "invoke", self._invoke)
        self._asked: dict[Any, int] = {}
        self.planted: Commit | None = None
        self._plant = plant

    def _around(self, cls: type[Any], name: str, around: Any) -> None:
        plain = getattr(cls, name)
        self._patch.setattr(cls, name, lambda *given: around(plain, *given))

    def _append(self, plain: Any, window: Window, commit: Commit) -> int:
        position: int = plain(window, commit)
        if position == 1:
            self.lives.append(Life())
        self.lives[-1].appended.append(commit)
        return position

    def _write(self, plain: Any, writer: Writer, commits: list[Commit]) -> Batch:
        batch: Batch = plain(writer, commits)
        self.lives[-1].written += commits
        self.lives[-1].refused |= {refusal.commit.position: refusal.because for refusal in batch.refused}
        return batch

    def _refuse(self, plain: Any, writer: Writer, commit: Commit, error: Exception) -> None:
        self.lives[-1].written.append(commit)
        self.lives[-1].refused[commit.position] = RefusedBecause.USER
        plain(writer, commit, error)

    def _refusal(self, plain: Any, batch: Batch, commit: Commit) -> Refusal | None:
        if len(self.lives) == 1 and commit.position == self._plant and commit.execution:
            self.planted = commit
            return Refusal(commit, "planted")
        found: Refusal | None = plain(batch, commit)
        return found

    def _invoke(self, plain: Any, faults: Faults, step: Any, frame: Any, *rest: Any) -> Any:
        asked = self._asked.pop(asyncio.current_task(), frame.after)
        life = self.lives[-1] if self.lives else Life()
        life.effects.append((asked, life.is_durable(asked)))
        return plain(faults, step, frame, *rest)

    def _barrier(self, plain: Any, frame: Frame) -> Any:
        # While one branch waits for the disk, another goes on: what led to this call is what it asks for now.
        self._asked[asyncio.current_task()] = frame.after
        return plain(frame)


def broken_rules(lives: list[Life], rows: list[ExecutionView]) -> list[str]:
    """What the trace breaks; `rows` are all executions as they are on disk in the end."""
    journals: dict[int, int] = {}
    is_open: dict[int, bool] = {}
    found: list[str] = []
    for number, life in enumerate(lives):
        found += [f"life {number}: {what}" for what in _order(life)]
        for commit in life.written:
            found += [
                f"life {number}, commit {commit.position}: {what}"
                for what in _refusing(life, commit, journals, is_open)
            ]
            if commit.position not in life.refused:
                _apply(commit, journals, is_open)
    for view in rows:
        if (journals.get(view.id), is_open.get(view.id)) != (view.length, view.status <= OPEN_MAX):
            found.append(f"execution {view.id}: {view.length} entries on disk, {journals.get(view.id)} committed")
    if len(rows) != len(journals):
        found.append(f"{len(rows)} executions on disk, {len(journals)} opened")
    return found


def _order(life: Life) -> list[str]:
    positions = [commit.position for commit in life.appended]
    written = [commit.position for commit in life.written]
    found = []
    if positions != list(range(1, len(positions) + 1)):
        found.append(f"positions are not dense: {positions}")
    if written != positions[: len(written)]:
        found.append(f"not written in the order of the positions: {written}")
    found += [f"an effect after {after}, which is not durable" for after, durable in life.effects if not durable]
    return found


def _refusing(life: Life, commit: Commit, journals: dict[int, int], is_open: dict[int, bool]) -> list[str]:
    """Whether a commit had to be refused, and was."""
    follows_refused = any(position in life.refused for position in commit.after)
    misfit = bool(commit.execution) and not (
        is_open.get(commit.execution) and journals[commit.execution] == commit.expected
    )
    found = []
    if any(position >= commit.position for position in commit.after):
        found.append(f"follows from what comes later: {commit.after}")
    match life.refused.get(commit.position):
        case None if follows_refused:
            found.append(f"an orphan: it follows from {commit.after}")
        case None if misfit:
            found.append(f"written with {commit.expected} entries expected, there are {journals.get(commit.execution)}")
        case RefusedBecause.CONFLICT | RefusedBecause.USER if follows_refused:
            found.append(f"it follows from {commit.after}, and was refused for another reason")
        case RefusedBecause.FELLED if not follows_refused:
            found.append("felled, and all it follows from is durable")
        case RefusedBecause.CONFLICT if not misfit:
            found.append("refused for a conflict, and it fits")
    return found


def _apply(commit: Commit, journals: dict[int, int], is_open: dict[int, bool]) -> None:
    for obligation in commit.opened:
        journals[obligation.execution], is_open[obligation.execution] = 0, True
    if commit.execution:
        grown = len(commit.entries) + (commit.transaction is not None)
        journals[commit.execution] = journals.get(commit.execution, 0) + grown
        is_open[commit.execution] = commit.status <= OPEN_MAX
