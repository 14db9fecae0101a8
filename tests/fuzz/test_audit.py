"""No code from data: decoding imports nothing, compiles nothing, unpickles nothing and opens nothing."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.fuzz.trial import CASES

ROOT = Path(__file__).resolve().parents[2]


def audited(*plant: str) -> dict[str, Any]:
    """What the interpreter was asked for while hostile input was decoded in a process of its own."""
    command = [sys.executable, "-m", "tests.fuzz.audited", *plant]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_decoding_hostile_input_runs_no_code_and_touches_nothing_outside() -> None:
    answer = audited()
    CASES["audited"] += answer["inputs"]
    assert answer["inputs"] > 30_000
    assert answer["events"] == {}


PLANTS = {"pickle": "pickle.find_class", "eval": "compile", "import": "import", "importlib": "exec", "file": "open"}


@pytest.mark.parametrize(("plant", "event"), PLANTS.items())
def test_a_decoder_that_reaches_out_is_found(plant: str, event: str) -> None:
    assert event in audited(plant)["events"]
