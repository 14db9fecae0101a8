"""`onstage dev`: what it watches. The process itself runs in tests/scenario/test_cli.py."""

from pathlib import Path

from onstage.cli.dev_server import changes, snapshot


def test_python_files_are_watched_and_packages_are_passed_over(tmp_path: Path) -> None:
    for name in ("app.py", "deep/er.py", ".venv/x.py", "node_modules/y.py", "__pycache__/z.py", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert sorted(path.name for path in snapshot(tmp_path)) == ["app.py", "er.py"]


def test_what_came_went_and_changed_is_found(tmp_path: Path) -> None:
    a, b, c, d = (tmp_path / name for name in "abcd")
    assert changes({a: 1, b: 1, c: 1}, {b: 1, c: 2, d: 1}) == [a, c, d]
