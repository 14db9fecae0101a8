"""What fails a simulated test: a process that broke a rule of its expectation."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from onstage.observe.progress import decode_progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onstage.contracts.process import Process
    from onstage.observe.marking import Violation
    from onstage.ports.store import ProcessView, Reader

__all__ = ["Judge"]


@final
class Judge:
    """Looks at what the monitor of a simulated world has found; each violation fails the test once."""

    def __init__(self) -> None:
        """Nothing has been said yet."""
        self._said: set[tuple[int, str]] = set()

    async def refuse_violations(self, reader: Reader, touched: dict[int, None], processes: Iterable[Process]) -> None:
        """Look at the `touched` processes, and forget them. Raises AssertionError that names each new violation."""
        where = {each.rule.text: each.where for process in processes for each in process.rules}
        lines: list[str] = []
        for row in await reader.progress(sorted(touched)):
            new = [each for each in decode_progress(row.body).broken if (row.process, each.rule) not in self._said]
            view = await reader.process(row.process)
            self._said.update((row.process, each.rule) for each in new)
            lines.extend(_told(view, each, where.get(each.rule, "")) for each in new)
        touched.clear()
        if lines:
            raise AssertionError("\n".join(lines))


def _told(view: ProcessView | None, violation: Violation, where: str) -> str:
    named = "a process" if view is None else f"{view.declared} {view.key or view.wire_id}"
    return (
        f"{where}: {named} violates {violation.rule}\n  why: {violation}\n"
        "  to do: look at sim.history(...), then correct the handlers, or the rule"
    )
