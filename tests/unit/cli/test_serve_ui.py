"""`onstage ui`."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from onstage.cli import serve_ui
from onstage.cli.serve_ui import listening_on


@contextmanager
def served(tiny: Any, *options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "onstage.cli.main", "ui", "--port", "0", "-o", "json", *options]
    process = subprocess.Popen(command, cwd=tiny.folder, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_it_answers_and_show_prints_a_link_to_it(tiny: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tiny.play(("o1", 5))
    with served(tiny) as url:
        page = json.load(urllib.request.urlopen(f"{url}/api/v1/processes/o1", timeout=20))  # noqa: S310
        assert page["head"]["verdict"] == "completed"
        assert f"see it: {url}/processes/{page['head']['process']}" in tiny.run("show", "o1").stderr
    assert "see it" not in tiny.run("show", "o1").stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.9", "::", "example.org"])  # noqa: S104  that is the point
def test_an_open_door_without_a_token_is_refused_in_three_lines(
    tiny: Any, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.play(("o1", 5))
    monkeypatch.setattr(serve_ui, "_serve", lambda *_: None)  # where it is not refused, it is over at once
    refused = tiny.run("ui", "--host", host)
    assert refused.exit_code == 2
    what, why, mend = refused.stderr.strip().splitlines()
    assert "without a token" in what
    assert why.strip().startswith("why:")
    assert "ONSTAGE_UI_TOKEN" in mend


def test_an_empty_token_is_none(tiny: Any) -> None:
    (tiny.folder / "token").write_text("\n")
    refused = tiny.run("ui", "--host", "0.0.0.0", "--token-file", "token")  # noqa: S104
    assert refused.exit_code == 2
    assert "is empty" in refused.stderr


def test_without_what_it_needs_it_says_how_to_install_it(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_ui, "_NEEDS", ("no_such_module",))
    refused = tiny.run("ui")
    assert refused.exit_code == 2
    assert "onstage[web]" in refused.stderr


def test_a_port_that_is_taken_is_passed_over_unless_it_was_named() -> None:
    with listening_on("127.0.0.1", None) as first, listening_on("127.0.0.1", None) as second:
        assert first.getsockname()[1] != second.getsockname()[1]
        with pytest.raises(serve_ui.Failure, match="cannot be used"):
            listening_on("127.0.0.1", first.getsockname()[1])
