"""`onstage sim`."""

import logging
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from onstage.cli import run_sim
from onstage.cli.main import cli
from onstage.observe.verdict import Verdict
from onstage.runtime import watch
from onstage.testing.world.many import Totals
from onstage.testing.world.shrink import shrink


def sim(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["sim", *arguments])


def test_it_says_what_happened_and_what_was_never_seen() -> None:
    result = sim("--seeds", "6", "--first", "3")
    assert result.exit_code == 0, result.output
    assert "6 seeds in" in result.output
    assert "classes of faults" in result.output
    assert "never seen: " in result.output
    assert "0 worlds in which something did not hold" in result.output
    assert sim("--seeds", "1", "--strict").exit_code == 1


def test_it_counts_for_programs() -> None:
    result = sim("--seeds", "3", "-o", "json")
    found = msgspec.json.decode(result.stdout)
    assert (found["seeds"], found["failed"], found["failures"]) == (3, 0, [])
    assert found["struck"] > 0


def test_a_world_is_played_again() -> None:
    first, again = sim("--replay", "4"), sim("--replay", "4")
    assert first.output == again.output
    assert "trace " in first.output


def test_a_failing_world_is_named_and_shrinks_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = watch.judge

    def judge(*facts: object) -> Verdict:
        verdict: Verdict = plain(*facts)  # type: ignore[arg-type]
        return Verdict("completed", "x") if verdict.status == "waiting" else verdict

    monkeypatch.setattr(watch, "judge", judge)
    monkeypatch.setitem(shrink.__kwdefaults__, "tries", 25)
    many = sim("--seeds", "10")
    assert many.exit_code == 1
    seed = many.output.rpartition("--replay ")[2].split()[0]
    assert f"seed {seed}: I7: " in many.output
    tape = tmp_path / "tape.json"
    replayed = sim("--replay", seed, "--tape", str(tape))
    assert replayed.exit_code == 1
    assert f"onstage sim --tape {tape}" in replayed.output
    least = sim("--tape", str(tape))
    assert least.exit_code == 1
    assert "does not hold: I7" in least.output


def test_what_is_no_tape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no")
    result = sim("--tape", str(tmp_path / "x"))
    assert result.exit_code == 2


def test_a_replay_leaves_the_logs_as_they_were() -> None:
    before = logging.root.manager.disable
    sim("--replay", "3")
    assert logging.root.manager.disable == before


def test_a_long_run_says_how_far_it_is_but_not_too_often(capsys: pytest.CaptureFixture[str]) -> None:
    progress, whole = run_sim._Progress(1000), Totals(failed=1)  # noqa: SLF001
    for part in range(1, 21):
        whole.seeds, whole.seconds = 50 * part, 4.0 * part
        progress(Totals(failures=[(7, ["I1: lost"])] if part == 2 else []), whole)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["seed 7: I1: lost", "  replay: onstage sim --replay 7"]
    assert lines[2] == "150 of 1,000 worlds in 12 s, 1 failed, about 68 s to go"
    assert len(lines) == 2 + 6
