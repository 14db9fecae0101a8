"""Where the socket lies: in a folder that nobody else could have made or could reach."""

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.runtime.test_local_door import Desk, play

from onstage import errors
from onstage.runtime.local_door import LocalDoor
from onstage.runtime.local_socket import socket_path
from onstage.runtime.remote_door import RemoteDoor, call_when_running


def shared(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o750)


def linked(folder: Path) -> None:
    (folder.parent / "own").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "own")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (Path.touch, "it is no folder"),
        (linked, "it is no folder"),
        (shared, "its mode is 750"),
        (Path.mkdir, f"it belongs to user {os.getuid()}"),
    ],
)
def test_a_folder_among_temporary_files_that_others_could_reach_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], why: str
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if "belongs" in why:
        me = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: me + 1)
    store = tmp_path / "shop.db"
    folder = socket_path(store).parent
    assert folder.parent == tmp_path

    async def story() -> None:
        make(folder)
        for use in (call_when_running(store), RemoteDoor(store).verdict("p", 0), LocalDoor(store, Desk()).open()):
            with pytest.raises(errors.StoreUnavailable) as refused:
                await use
            what, reason, mend = str(refused.value).splitlines()
            assert what == f"{folder} cannot hold the node's socket"
            assert reason.startswith(f"  why: {why}")
            assert mend == "  to do: remove it, or set XDG_RUNTIME_DIR to a folder of your own with mode 700"

    asyncio.run(story())


def test_a_folder_among_temporary_files_is_made_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def story(desk: Desk, remote: RemoteDoor) -> None:
        assert await remote.emit("a", b"{}", id=None, source=None) == "p-1"
        assert (tmp_path / f"onstage-{os.getuid()}").stat().st_mode & 0o777 == 0o700

    play(tmp_path / "shop.db", story)
    play(tmp_path / "shop.db", story)  # it is there already
