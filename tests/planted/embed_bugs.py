"""Bugs planted where a stage is embedded, and in telemetry."""

import pytest

from onstage.core.commit import Commit
from onstage.embedding import intake_table
from onstage.embedding.intake_poller import IntakePoller
from onstage.embedding.joining import Joined
from onstage.ports.store import BatchOutcome
from onstage.telemetry.counts import Counts
from onstage.telemetry.spans import Spans

Patch = pytest.MonkeyPatch


def row_identity_forgotten(patch: Patch) -> None:
    """A row of the intake table is admitted as if it had no identity."""
    plain = intake_table.admitting

    def admitting(ways: object) -> object:
        admit = plain(ways)  # type: ignore[arg-type]
        return lambda rows: admit([row._replace(id="") for row in rows])

    patch.setattr(intake_table, "admitting", admitting)


def row_removed_before_it_is_durable(patch: Patch) -> None:
    """Rows are removed when they are read."""

    async def take(self: IntakePoller) -> int:
        rows = await self._database.waiting(500)
        await self._database.remove([row.n for row in rows])
        if rows:
            await self._admit(rows)
        return len(rows)

    patch.setattr(IntakePoller, "take", take)


def own_file_not_refused(patch: Patch) -> None:
    """`emit_in` writes into whatever SQLite file it is given."""
    plain = Joined.insert
    patch.setattr(Joined, "insert", lambda self, values, _: plain(self, values, None))


def spans_ended_at_once(patch: Patch) -> None:
    """A span is exported when its commit is appended."""
    plain = Spans.appended

    def appended(self: Spans, commit: Commit) -> None:
        plain(self, commit)
        self.durable(BatchOutcome(commit.position, [], {}, []))

    patch.setattr(Spans, "appended", appended)


def counted_at_once(patch: Patch) -> None:
    """A commit counts when it is appended, whatever becomes of it."""

    def appended(self: Counts, commit: Commit) -> None:
        self._count(commit)

    patch.setattr(Counts, "appended", appended)
