"""One process to take away."""

import json
import subprocess
import sys
from typing import Any

import pytest

RETRYING = """
FAILURES = 2


@step(retries=3)
async def charge(order_id: str) -> str:
    global FAILURES
    FAILURES -= 1
    if FAILURES >= 0:
        raise ConnectionError("the bank is\\\\n'away'")
    return f"receipt {order_id}"
"""


def exported(tiny: Any, ui: Any, key: str) -> str:
    answer = ui(app=f"{tiny.module}:app").get(f"/api/v1/processes/{key}/test.py")
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["content-disposition"]
    return str(answer.text)


def passes(tiny: Any, text: str) -> subprocess.CompletedProcess[str]:
    (tiny.folder / "test_copied.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_copied.py"]
    return subprocess.run(command, cwd=tiny.folder, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize(("key", "amount"), [("o1", 5), ("o2", 2000), ("o3", -1)], ids=["ended", "waits", "stuck"])
def test_a_history_is_a_test_that_passes_and_fails_with_other_code(tiny: Any, ui: Any, key: str, amount: int) -> None:
    tiny.play((key, amount))
    text = exported(tiny, ui, key)
    done = passes(tiny, text)
    assert done.returncode == 0, done.stdout
    source = tiny.source()
    other = source.replace("e.amount < 0", "e.amount >= 0").replace("return OrderPaid", "raise ValueError")
    (tiny.folder / f"{tiny.module}.py").write_text(other.replace("raise ValueError(", "OrderPaid; raise ValueError("))
    if key != "o3":
        assert passes(tiny, text).returncode == 1


def test_steps_answer_as_they_did_and_nothing_outside_is_touched(tiny: Any, ui: Any) -> None:
    begin = '@step\nasync def charge(order_id: str) -> str:\n    return f"receipt {order_id}"\n'
    tiny.rewrite((begin, RETRYING))
    with tiny.app().run(f"sqlite:///{tiny.store}").run_in_background():
        assert tiny.run("emit", "order-placed", '{"order_id": "o1", "amount": 5}', "--wait", "20s").exit_code == 0
    text = exported(tiny, ui, "o1")
    assert "failures=2" in text
    assert "'receipt o1'" in text
    forbidden = tiny.source().replace("FAILURES -= 1", 'open("effect", "w").close()')
    (tiny.folder / f"{tiny.module}.py").write_text(forbidden)
    done = passes(tiny, text)
    assert done.returncode == 0, done.stdout
    assert not (tiny.folder / "effect").exists()


def test_events_come_when_they_came(tiny: Any, ui: Any) -> None:
    tiny.play(("o2", 2000))
    with tiny.app().run(f"sqlite:///{tiny.store}").run_in_background():
        assert tiny.run("emit", "order-approved", '{"order_id": "o2"}', "--wait", "20s").exit_code == 0
    text = exported(tiny, ui, "o2")
    assert text.count("sim.emit(") == 2
    done = passes(tiny, text)
    assert done.returncode == 0, done.stdout


def test_names_that_are_code_stay_text(tiny: Any, ui: Any) -> None:
    key = '"""\nimport os; os.abort() # \\'
    tiny.play((key, 5))
    process = ui().get("/api/v1/processes").json()["rows"][0]["process"]
    text = ui(app='x"; import os').get(f"/api/v1/processes/{process}/test.py").text
    assert "from app import app" in text
    compile(text, "test_copied.py", "exec")
    done = passes(tiny, text.replace("from app import", f"from {tiny.module} import"))
    assert done.returncode == 0, done.stdout


def test_it_is_exported_as_json_and_as_a_diagram(tiny: Any, ui: Any) -> None:
    tiny.play(("o2", 2000))
    client = ui()
    page = json.loads(client.get("/api/v1/processes/o2/export.json").content)
    assert page["head"]["key"] == "o2"
    assert "standing" not in page
    lines = client.get("/api/v1/processes/o2/diagram.mmd").text.splitlines()
    assert lines[0] == "flowchart TD"
    assert any("order-placed #1" in line.replace("#35;", "#") for line in lines)
    assert any("order-approved#63;" in line or "order-approved?" in line for line in lines)
    assert client.get("/api/v1/processes/o2/secrets.txt").status_code == 404
