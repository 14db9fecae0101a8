"""`onstage deploy`: what is written, and what is refused."""

import shutil
import subprocess
from typing import Any

import pytest

BROKER = ("--broker", "nats://127.0.0.1:4222")


def test_units_are_written_and_the_next_steps_said(tiny: Any) -> None:
    result = tiny.run("deploy", "systemd", *BROKER, "--folder", "units")
    assert result.exit_code == 0, result.output
    written = sorted((tiny.folder / "units").iterdir())
    assert [path.name.rpartition("-")[2] for path in written] == ["mail.service", "observer.service", "payment.service"]
    assert len(result.stdout.splitlines()) == 3
    for step in ("useradd", "install -m 600", "systemctl enable --now", "onstage.cli.main ps"):
        assert step in result.stderr
    check = shutil.which("systemd-analyze")
    if check is not None:
        done = subprocess.run([check, "verify", *map(str, written)], capture_output=True, text=True, check=False)
        assert f"{tiny.folder}" not in done.stderr, done.stderr


def test_nothing_is_overwritten_unless_forced(tiny: Any) -> None:
    (tiny.folder / "Procfile").write_text("web: mine\n")
    refused = tiny.run("deploy", "procfile", *BROKER)
    assert refused.exit_code == 2
    assert "Procfile is there already" in refused.stderr
    assert (tiny.folder / "Procfile").read_text() == "web: mine\n"
    assert tiny.json("deploy", "procfile", *BROKER, "--force") == {"written": ["Procfile"]}
    assert (tiny.folder / "Procfile").read_text().startswith("payment: onstage run ")


@pytest.mark.parametrize("login", ["me:secret@", "secret@"])
def test_a_secret_is_never_written(tiny: Any, login: str) -> None:
    refused = tiny.run("deploy", "systemd", "--broker", f"nats://{login}h:4222", "--folder", "units")
    assert refused.exit_code == 2
    assert "secret" not in refused.output
    assert "ONSTAGE_BROKER" in refused.stderr
    assert not (tiny.folder / "units").exists()


def test_without_a_broker_it_says_how_to_name_one(tiny: Any) -> None:
    refused = tiny.run("deploy", "procfile")
    assert refused.exit_code == 2
    assert "which broker?" in refused.stderr


def test_a_dashboard_and_alert_rules_are_written(tiny: Any) -> None:
    result = tiny.run("deploy", "monitoring", "--folder", "watch")
    assert result.exit_code == 0, result.output
    assert (tiny.folder / "watch/grafana/onstage.json").read_text().startswith("{")
    assert "alert: OnstageDeadLetters" in (tiny.folder / "watch/prometheus/alerts.yml").read_text()
    assert "--metrics-port" in result.stderr
    assert tiny.run("deploy", "monitoring", "--folder", "watch").exit_code == 2
