"""The documents as tests: their programs run, their links lead somewhere, what they name exists.

Blocks of Python on a page form one program, in the order of the page; `<!-- new file -->` before a block begins
another one. `<!-- killed once -->` begins one whose first run dies of SIGKILL and that is run again in the same folder.
`<!-- not run: reason -->` exempts a block. `$ onstage ...` in a block marked `console` is run after the program, in its
folder. The lines of a block marked `output` must be printed, in that order; a line that ends in `…` by its beginning.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pytest

from onstage.cli.main import COMMANDS
from onstage.core.lifecycle import diagram

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "src/onstage"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
ADRS = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in PAGES}

HOW_TO_TEST = "docs/how-to/test-a-process.md"
PLAYED = "<!-- played by tests/docs/test_pages_apart.py -->"
EXEMPT_MAX = 3
RUN_S_MAX = 30
FENCE = re.compile(r"(?:<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
NAMED_FILE = re.compile(r"`((?:src|tests|examples|benchmarks)/[\w./-]+?)(?:::(\w+))?`")
SOURCE_FILE = re.compile(r"`((?:cli|contracts|core|events|observe|ports|runtime|stores|testing)/[\w/]+\.\w+)`")
TO_COME = "## What comes next"
LIMIT_ROW = re.compile(r"^\| `(\w+)` \| ([\d,.]+)[^|]*\| `([\w/]+\.py)` \| [^|]{12,}\|$", re.MULTILINE)
LIMIT = re.compile(r"^([A-Z][A-Z_]*_MAX): Final", re.MULTILINE)


@dataclass
class Program:
    """The Python blocks of a page that belong together; a line has the number it has on the page."""

    page: str
    line: int
    is_killed_once: bool
    source: str = ""
    commands: list[str] = field(default_factory=list)
    output: list[str] = field(default_factory=list)

    def add(self, body: str, line: int) -> None:
        self.source += "\n" * (line - 1 - self.source.count("\n")) + body


def programs() -> Iterator[Program]:
    for page, text in TEXTS.items():
        if PLAYED in text:
            continue
        program: Program | None = None
        for block in FENCE.finditer(text):
            mark, kind, body = block["mark"] or "", block["kind"], block["body"]
            line = text.count("\n", 0, block.start("body")) + 1
            if kind == "output":
                assert program is not None, f"{page}:{line}: output of no program"
                program.output += body.splitlines()
            if kind == "console" and program is not None:
                program.commands += re.findall(r"^\$ onstage (.+)$", body, re.MULTILINE)
            if kind != "python" or mark.startswith("not run: "):
                continue
            if program is None or mark in ("new file", "killed once"):
                program = Program(page, line, mark == "killed once")
                yield program
            program.add(body, line)


PROGRAMS = list(programs())


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python as a reader would, with warnings as errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )


def is_printed(line: str, printed: Iterator[str]) -> bool:
    """Whether the line comes, in what is left to look at."""
    if line.endswith("…"):
        return any(each.startswith(line.removesuffix("…").rstrip()) for each in printed)
    return any(each.rstrip() == line for each in printed)


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-")


def outside_code(text: str) -> str:
    return FENCE.sub("", text)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: f"{program.page}:{program.line}")
def test_a_program_does_what_its_page_says(program: Program, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(program.source)
    if program.is_killed_once:
        assert run(tmp_path, "app.py").returncode == -signal.SIGKILL
    runs = [run(tmp_path, "app.py")]
    runs += [run(tmp_path, "-m", "onstage.cli.main", *shlex.split(command)) for command in program.commands]
    said = "".join(done.stdout + done.stderr for done in runs)
    assert not any(done.returncode for done in runs), f"{program.page}\n{said}"
    printed = iter([line for done in runs for line in done.stdout.splitlines()])
    missing = [line for line in program.output if not is_printed(line, printed)]
    assert not missing, f"{program.page}: not printed, or not in this order: {missing}\n{said}"


def test_a_newcomers_test_is_short() -> None:
    (test,) = re.findall(
        r"^async def test_time_a_failure_and_a_crash.*?(?=\n\n)", TEXTS[HOW_TO_TEST], re.MULTILINE | re.DOTALL
    )
    assert len(test.splitlines()) <= 15, "time, failure and crash take at most 15 lines"
    assert all(call in test for call in ("sim.advance", "sim.fail", "sim.crash"))


def test_few_blocks_are_exempt_from_running() -> None:
    exempt = [page for page, text in TEXTS.items() for block in FENCE.finditer(text) if "not run: " in str(block[1])]
    assert len(exempt) <= EXEMPT_MAX, exempt


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page: str) -> None:
    for target in LINK.findall(outside_code(TEXTS[page])):
        name, _, anchor = target.partition("#")
        path = ((ROOT / page).parent / name).resolve() if name else ROOT / page
        assert path.exists(), f"{page}: {target} does not exist"
        if anchor:
            assert anchor in map(slug, HEADING.findall(path.read_text())), f"{page}: {target} has no such heading"


@pytest.mark.parametrize("page", TEXTS)
def test_files_and_tests_that_are_named_exist(page: str) -> None:
    for name, test in NAMED_FILE.findall(TEXTS[page]):
        path = ROOT / name
        assert path.exists(), f"{page} names {name}, which does not exist"
        assert not test or re.search(rf"^ *(async )?(def|class) {test}\b", path.read_text(), re.MULTILINE), (
            f"{page} names {test}, which is not in {name}"
        )


@pytest.mark.parametrize("page", TEXTS)
def test_source_files_that_are_named_exist(page: str) -> None:
    named = SOURCE_FILE.findall(TEXTS[page].partition(TO_COME)[0])
    missing = [name for name in named if not (SOURCE / name).exists()]
    assert not missing, f"{page} names {missing}, which are not below src/onstage"


def test_every_page_is_found_from_the_readme() -> None:
    linked = {
        (ROOT / page).parent / link.partition("#")[0] for page, text in TEXTS.items() for link in LINK.findall(text)
    }
    reached = {path.resolve() for path in linked}
    lost = [page for page in TEXTS if page != "README.md" and (ROOT / page).resolve() not in reached]
    assert not lost, f"no page links to {lost}"


def test_the_lifecycle_diagram_is_the_table() -> None:
    blocks = [
        block["body"] for block in FENCE.finditer(TEXTS["docs/concepts/lifecycle.md"]) if block["kind"] == "mermaid"
    ]
    assert blocks == [diagram() + "\n"], "run: python -c 'from onstage.core.lifecycle import *; print(diagram())'"


def test_limits_have_the_values_that_the_page_says() -> None:
    rows = LIMIT_ROW.findall(TEXTS["docs/reference/limits.md"])
    for name, value, file in rows:
        module = import_module("onstage." + file.removesuffix(".py").replace("/", "."))
        assert getattr(module, name) == float(value.replace(",", "")), f"{name} in {file} is {getattr(module, name)}"
    assert len(rows) > 20, "the rows are not recognised any more"


def test_no_limit_is_left_out() -> None:
    named = {(file, name) for name, _, file in LIMIT_ROW.findall(TEXTS["docs/reference/limits.md"])}
    exist = {
        (str(path.relative_to(SOURCE)), name)
        for path in SOURCE.rglob("*.py")
        for name in LIMIT.findall(path.read_text())
        if name != "OPEN_MAX"  # the border between two kinds of status, no limit
    }
    assert exist <= named, f"docs/reference/limits.md lacks {sorted(exist - named)}"


def test_the_tables_of_the_store_are_the_ones_described() -> None:
    scripts = "".join(path.read_text() for path in sorted((SOURCE / "stores/sqlite/migrations").glob("*.sql")))
    tables = set(re.findall(r"CREATE TABLE (\w+)", scripts))
    assert tables == set(re.findall(r"^### `(\w+)`", TEXTS["docs/reference/store-layout.md"], re.MULTILINE))


@pytest.mark.parametrize("path", ADRS, ids=lambda path: path.stem)
def test_a_decision_is_one_page_with_three_parts(path: Path) -> None:
    text = path.read_text()
    assert HEADING.findall(text)[1:] == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= 60, "one page"


def test_every_command_is_listed() -> None:
    listed = re.findall(r"^\| `onstage (\w+)", TEXTS["docs/reference/cli.md"], re.MULTILINE)
    assert list(dict.fromkeys(listed)) == list(COMMANDS)


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(path.name[:4]) for path in ADRS] == list(range(1, len(ADRS) + 1))
