"""`onstage check`, and what a node says of it when it starts."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from onstage.cli.application import load_app
from onstage.cli.check_app import lines_at_start, read_manifest
from onstage.cli.failures import Failure

FAULTY = """
from dataclasses import dataclass

from onstage import App, Process, Service, event


@event
@dataclass
class Begun:
    x: int


@event
@dataclass
class Tried:
    x: int


@event
@dataclass
class Lost:
    x: int


a, b = Service("a"), Service("b")


@a.on(Begun)
async def begin(e: Begun) -> Tried:
    return Tried(1)


@b.on(Tried)
async def again(e: Tried) -> Tried | tuple[Tried, Lost]:
    return Tried(1)


app = App(a, b, Process("p", starts=Begun, done=Tried))
"""


@pytest.fixture
def faulty(tiny: Any) -> Any:
    (tiny.folder / f"{tiny.module}.py").write_text(FAULTY)
    return tiny


def codes(report: Any) -> list[str]:
    return [each["code"] for each in report["findings"]]


def test_an_app_without_faults_is_well(tiny: Any) -> None:
    result = tiny.run("check")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "2 services, 2 handlers: 0 errors, 0 warnings, 0 notes" in result.stderr
    assert lines_at_start(tiny.app(), ()) == []


def test_errors_are_told_with_place_way_and_mend_and_end_with_1(faulty: Any) -> None:
    result = faulty.run("check")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "error OS201: tried causes itself again for ever: no handler on the way may end otherwise"
    line = FAULTY.splitlines().index("async def again(e: Tried) -> Tried | tuple[Tried, Lost]:")
    assert lines[1] == f"  at: {faulty.folder}/{faulty.module}.py:{line}"
    assert lines[2] == "  way: tried -> b.again() -> tried"
    assert lines[3].startswith("  to do: ")
    assert "2 errors, 1 warning, 0 notes" in result.stderr


def test_json_has_the_same_findings(faulty: Any) -> None:
    report = faulty.json("check", code=1)
    assert codes(report) == ["OS201", "OS202", "OS101"]
    assert report["findings"][1]["path"] == ["begun", "a.begin()", "tried"]
    assert report["coupling"][1] == {"service": "b", "hears": ["a"], "heard_by": [], "asks": [], "asked_by": []}


def test_codes_can_be_ignored(faulty: Any) -> None:
    report = faulty.json("check", "--ignore", "OS201", "--ignore", "OS202")
    assert codes(report) == ["OS101"]
    assert report["ignored"] == 2
    assert faulty.run("check", "--ignore", "OS999").exit_code == 2


def test_coupling_and_impact_are_shown(faulty: Any) -> None:
    shown = faulty.run("check", "--coupling", "--impact", "begun").stdout
    assert "b        a      -" in shown
    assert "a change of begun concerns" in shown
    assert "  readers: a\n  started by what follows: b\n  processes: p" in shown
    assert faulty.json("check", "--impact", "lost", code=1)["impact"]["makers"] == ["b"]
    assert faulty.run("check", "--impact", "unknown").exit_code == 2


def test_a_saved_manifest_is_checked_without_the_code(faulty: Any, tmp_path: Path) -> None:
    file = tmp_path / "faulty.json"
    faulty.run("check", "--save", str(file))
    (faulty.folder / f"{faulty.module}.py").unlink()
    report = faulty.json("check", "--manifest", str(file), code=1)
    assert codes(report) == ["OS201", "OS202", "OS101"]
    assert {each["where"] for each in report["findings"]} == {None}


def test_manifests_are_checked_together(tiny: Any, tmp_path: Path) -> None:
    other = {"handlers": [{"name": "ship.send", "service": "ship", "triggers": ["order-paid"], "emits": ["sent"]}]}
    (tmp_path / "other.json").write_bytes(msgspec.json.encode(other))
    report = tiny.json("check", f"{tiny.module}:app", "--manifest", str(tmp_path / "other.json"))
    assert [(each["code"], each["event"]) for each in report["findings"]] == [("OS101", "sent")]
    assert report["coupling"][1]["heard_by"] == ["mail", "ship"]


def test_what_a_store_was_told_is_checked(tiny: Any) -> None:
    tiny.play(("o1", 5))
    (tiny.folder / f"{tiny.module}.py").unlink()
    report = tiny.json("check", "--store", f"sqlite:///{tiny.store}")
    assert (report["findings"], len(report["coupling"])) == ([], 2)


def test_a_file_that_holds_no_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"handlers": 3}')
    with pytest.raises(Failure, match="holds no manifest"):
        read_manifest(tmp_path / "other.json")


def test_a_node_says_a_few_findings_of_what_it_runs(faulty: Any) -> None:
    app = load_app(f"{faulty.module}:app", faulty.folder)
    every = lines_at_start(app, ())
    assert [line.split(":")[0] for line in every] == [
        "error OS201",
        "error OS202",
        "warning OS101",
        "`onstage check` shows all, and what to do",
    ]
    assert [line.split(":")[0] for line in lines_at_start(app, ["a"])][:-1] == ["error OS202"]


def test_run_says_them_before_it_does_anything_and_an_import_says_nothing(
    faulty: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    load_app(f"{faulty.module}:app", faulty.folder)
    assert capsys.readouterr() == ("", "")
    result = faulty.run("run", "--store", "sqlite:///no/such/folder/x.db")
    assert result.exit_code == 3
    lines = result.stderr.splitlines()
    assert [line[: line.find(":")] for line in lines[:3]] == ["error OS201", "error OS202", "warning OS101"]
    assert len(lines) == 4 + 3
