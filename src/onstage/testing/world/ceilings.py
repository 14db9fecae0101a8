"""I15: at rest a node keeps nothing in memory that has ended; its file grows with its events, few files are open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from onstage.testing.checks.open_files import open_descriptors

if TYPE_CHECKING:
    from onstage.testing.world.world_run import World

__all__ = ["check_memory"]

WAL_BYTES_MAX: Final = 32 << 20
TASKS_MAX: Final = 300
ROWS_PER_EVENT_MAX: Final = 15
DESCRIPTORS_MAX: Final = 40


def check_memory(world: World) -> None:
    """Complain of what is left in memory, of too many tasks, rows, or bytes in the log."""
    node: Any = world.life.node
    left = {
        "open executions": len(node.open),
        "running handlers": len(node.dispatcher.running),
        "dropped deliveries": len(node.dispatcher.dropped),
        "listeners": len(node.mailbox._waiting),  # noqa: SLF001  what memory holds is asked of memory
        "recent mail": len(node.mailbox._recent) + len(node.mailbox._order),  # noqa: SLF001
        "watchers": len(node.watch._waiters),  # noqa: SLF001
        "open processes": len(node.admission._names) + len(node.admission._open),  # noqa: SLF001
        "identities on their way": len(node.admission._recent),  # noqa: SLF001
        "lanes": sum(len(reaction.lanes) for reaction in node.reactions.values()),
        "places": sum(reaction.running + len(reaction.backlog) for reaction in node.reactions.values()),
        "tasks beside": len(node._tasks),  # noqa: SLF001
        "commits on their way": node.store.undurable,
        "commits that somebody waits for": len(world.life.store._window._waiters),  # noqa: SLF001
        "deliveries ahead of the disk": len(node.dispatcher._ahead_of_disk),  # noqa: SLF001
    }
    for what, count in left.items():
        if count:
            world.onlooker.complain("I15", f"{count} {what} are left in memory")
    tasks = len(asyncio.all_tasks(world.life.loop))
    if tasks > TASKS_MAX:
        world.onlooker.complain("I15", f"{tasks} tasks are left")
    if (more := open_descriptors() - world.descriptors) > DESCRIPTORS_MAX:
        world.onlooker.complain("I15", f"{more} more files are open than before")
    log = world.power_path.with_name(f"{world.power_path.name}-wal")
    if log.exists() and log.stat().st_size > WAL_BYTES_MAX:
        world.onlooker.complain("I15", f"the log has {log.stat().st_size} bytes")
    rows = world.onlooker.rows(
        "select (select count(*) from onstage_entry) + (select count(*) from onstage_receipt)"
        " + (select count(*) from onstage_execution) + (select count(*) from onstage_mail)"
    )[0][0]
    if rows > ROWS_PER_EVENT_MAX * (world.events + 10) + 20 * world.crashes:
        world.onlooker.complain("I15", f"{rows} rows for {world.events} events")
