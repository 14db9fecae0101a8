"""The entry: help, lazy imports, exit codes."""

import subprocess
import sys
from typing import Any

from onstage.cli.main import COMMANDS, cli


def test_every_command_of_the_table_can_be_imported_and_helps(tiny: Any) -> None:
    for name in COMMANDS:
        result = tiny.run(name, "--help")
        assert result.exit_code == 0
        assert cli.get_command(None, name).name == name


def test_help_lists_the_commands_without_importing_them() -> None:
    code = (
        "import sys\nfrom onstage.cli.main import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit as end: assert not end.code\n"
        "assert not [name for name in sys.modules if name in ('rich', 'onstage.cli.run_node', 'onstage.cli.doctor')]"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert all(name in done.stdout for name in COMMANDS)


def test_importing_onstage_imports_neither_click_nor_rich() -> None:
    code = "import sys, onstage\nassert not {'click', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_command_is_a_usage_error(tiny: Any) -> None:
    assert tiny.run("nonsense").exit_code == 2


def test_a_traceback_is_shown_with_debug_only(tiny: Any) -> None:
    assert "Traceback" not in tiny.run("ps").stderr
    assert "Traceback" in tiny.run("--debug", "ps").stderr
    assert "Traceback" in tiny.run("ps", "--debug").stderr


def test_python_dash_m_is_the_same_command_line() -> None:
    ran = subprocess.run([sys.executable, "-m", "onstage", "--version"], check=True, capture_output=True, text=True)
    assert ran.stdout.startswith("onstage, version ")
    missing = subprocess.run([sys.executable, "-m", "onstage", "nonsense"], check=False, capture_output=True, text=True)
    assert missing.returncode == 2
    assert "No such command 'nonsense'" in missing.stderr
