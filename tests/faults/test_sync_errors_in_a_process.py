"""A node in a process of its own whose fsync calls fail now and then: below SQLite, or in a VFS where no C is built."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from tests.faults import sync_app
from tests.faults.checks import check_accounts, rows

ROOT = Path(__file__).resolve().parents[2]
COMPILER = shutil.which("cc")
WAYS = ["vfs", "preload"] if COMPILER else ["vfs"]  # without a compiler the same is tried one floor higher
FAILING = (3, 9, 16, 17, 24, 30, 31, 32, 33, *range(40, 120, 6))
"""Which syncs fail: some while the store is opened, each migration has one, and some of those that follow."""


def environment(way: str, folder: Path) -> dict[str, str]:
    """What makes the chosen syncs fail."""
    if way == "vfs":  # operations are counted here: the next sync from each of these on
        return {"VFS_FAULTS": ",".join(str(100 * place) for place in (0, *range(3, 14)))}
    library = folder / "fail_syncs.so"
    source = Path(__file__).with_name("fail_syncs.c")
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "FAIL_SYNCS": f",{','.join(map(str, FAILING))},"}


@pytest.mark.parametrize("way", WAYS)
def test_a_node_whose_syncs_fail_says_so_and_loses_nothing(way: str, tmp_path: Path) -> None:
    path = tmp_path / "play.db"
    done = subprocess.run(
        [sys.executable, sync_app.__file__, str(path)],
        env={**os.environ, **environment(way, tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    said = done.stdout.splitlines()
    assert [line for line in said if line.startswith("verdict")] == [
        f"verdict {key} completed play.ended" for key in sync_app.KEYS
    ]
    assert f"effects {2 * len(sync_app.KEYS)} {2 * len(sync_app.KEYS)}" in said
    assert any(line.startswith("refused cannot open") for line in said), "one sync fails while the store is opened"
    assert done.stderr.count("ERROR the store cannot be written\n  why: disk I/O error") >= 3, done.stderr
    assert done.stderr.count("the store works again, nothing was lost") >= 3
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        assert rows(connection, "pragma integrity_check") == [("ok",)]
        check_accounts(connection)
        keys = [(key,) for key in sorted(sync_app.KEYS)]
        assert rows(connection, "select key from seat order by key") == keys
        ended = "select key from onstage_process where open = 0 and outcome = 'play.ended' order by key"
        assert rows(connection, ended) == keys
    finally:
        connection.close(True)
