"""The reader on a connection of its own; what it answers is in tests/contract/test_stores.py."""

import asyncio
import subprocess
import sys
from pathlib import Path

from onstage.ports.clock import SystemClock
from onstage.stores.sqlite.connection import open_reader
from onstage.stores.sqlite.reader import SqliteReader
from onstage.stores.sqlite.store import SqliteStore
from onstage.testing.commit_script import DECLARATION, CommitScript
from onstage.testing.inline_workers import InlineWorkers

ELSEWHERE = """
import asyncio, sys
from pathlib import Path
from onstage.stores.sqlite.connection import open_reader
from onstage.stores.sqlite.reader import SqliteReader
print([event.n for event in asyncio.run(SqliteReader(open_reader(Path(sys.argv[1]))).events())])
"""


async def with_two_events(path: Path) -> SqliteStore:
    store = SqliteStore(path, clock=SystemClock(), workers=InlineWorkers())
    script = CommitScript(await store.open(DECLARATION))
    store.append(script.root("shop.bill"))
    position = store.append(script.root("shop.bill"))
    store.flush()
    await store.durable(position)
    return store


def test_a_second_reader_sees_what_is_durable_while_the_node_writes(tmp_path: Path) -> None:
    async def story() -> None:
        store = await with_two_events(tmp_path / "store.db")
        reader = SqliteReader(open_reader(store.path))
        assert [view.id for view in await reader.processes()] == [2, 1]
        assert await reader.executions() == await store.reader.executions()
        reader.close()
        await store.close()

    asyncio.run(story())


def test_another_process_reads_beside_the_node(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        store = runner.run(with_two_events(tmp_path / "store.db"))
        command = [sys.executable, "-c", ELSEWHERE, store.path]
        said = subprocess.run(command, capture_output=True, check=True, text=True)
        runner.run(store.close())
    assert said.stdout.strip() == "[1, 2]"
