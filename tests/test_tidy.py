"""The house style as tests. A limit is never raised: split the file or the function by responsibility."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src/onstage"
FOLDERS = ("src", "tests", "examples", "benchmarks")
YARDSTICK = ROOT / "benchmarks" / "floor.py"  # what others measured with: kept as it is, style included
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")) if path != YARDSTICK]
EVERYTHING = {path: ast.parse(path.read_text()) for path in FILES}
SOURCES = {path: tree for path, tree in EVERYTHING.items() if path.is_relative_to(PACKAGE)}

# A module whose test is not `tests/unit/<same path>/test_<module>.py` names it here, both from their roots:
# "stores/sqlite/store.py": "tests/contract/test_stores.py".
COVERED_BY: dict[str, str] = {
    "cli/draw_tree.py": "tests/unit/reading/test_causal_tree.py",
    "cli/milestone_lines.py": "tests/unit/reading/test_milestones.py",
    "web/answers.py": "tests/unit/web/test_actions.py",
    "web/around.py": "tests/unit/web/test_actions.py",
    "web/panes.py": "tests/unit/web/test_process_list.py",
    "web/ui.py": "tests/unit/web/test_process_page.py",
    "web/shown_around.py": "tests/unit/web/test_process_page.py",
    "web/shown.py": "tests/unit/web/test_process_page.py",
    "web/json_api.py": "tests/unit/web/test_process_list.py",
    "brokers/nats/broker.py": "tests/contract/test_nats.py",
    "brokers/nats/link.py": "tests/contract/test_nats.py",
    "brokers/nats/bucket.py": "tests/contract/test_nats.py",
    "ports/broker.py": "tests/contract/test_brokers.py",
    "ports/store.py": "tests/contract/test_stores.py",
    "ports/workers.py": "tests/contract/test_stores.py",
    "testing/broker_contract.py": "tests/contract/test_brokers.py",
    "testing/broker_cursors.py": "tests/contract/test_brokers.py",
    "testing/broker_log.py": "tests/contract/test_brokers.py",
    "testing/broker_service.py": "tests/contract/test_brokers.py",
    "testing/broker_trial.py": "tests/contract/test_brokers.py",
    "runtime/remote_door.py": "tests/unit/runtime/test_local_door.py",
    "runtime/segment.py": "tests/unit/runtime/test_driver.py",
    "runtime/reloading.py": "tests/unit/runtime/test_node.py",
    "runtime/process_monitor.py": "tests/scenario/test_watched.py",
    "verdicts.py": "tests/unit/events/test_process_changed.py",
    "stores/sealed_store.py": "tests/scenario/test_encryption.py",
    "stores/process_row.py": "tests/unit/stores/test_batch.py",
    "stores/memory_rows.py": "tests/contract/test_stores.py",
    "testing/commit_script.py": "tests/contract/test_stores.py",
    "testing/store_contract.py": "tests/contract/test_stores.py",
    "testing/store_members.py": "tests/contract/test_stores.py",
    "testing/store_parts.py": "tests/contract/test_stores.py",
    "testing/store_progress.py": "tests/contract/test_stores.py",
    "testing/store_reading.py": "tests/contract/test_stores.py",
    "testing/store_transactions.py": "tests/contract/test_stores.py",
    "testing/store_trial.py": "tests/contract/test_stores.py",
    "testing/store_writing.py": "tests/contract/test_stores.py",
    "testing/world/plays/play.py": "tests/unit/testing/world/plays/test_plays.py",
    "testing/world/plays/requests_played.py": "tests/unit/testing/world/plays/test_plays.py",
    "testing/world/plays/workflows_played.py": "tests/unit/testing/world/plays/test_plays.py",
    "testing/world/plays/branches_played.py": "tests/unit/testing/world/plays/test_plays.py",
    "testing/world/plays/times_played.py": "tests/unit/testing/world/plays/test_plays.py",
    "testing/world/plays/states_played.py": "tests/unit/testing/world/plays/test_plays.py",
    **{
        f"testing/world/plays/{name}_played.py": "tests/unit/testing/world/plays/test_plays.py"
        for name in (
            *("changes", "counts", "flow", "forks", "gatherings", "histories", "intakes", "long_steps"),
            *("pauses", "payloads", "watches"),
        )
    },
    "testing/world/programme.py": "tests/unit/testing/world/plays/test_plays.py",
}

VAGUE = {"utils", "common", "helpers", "base", "misc", "types", "compat", "manager"}
PORT_NAMES = {"store", "broker", "clock", "workers"}  # an adapter may repeat its port's name
ENTRY_NAMES = {"__init__", "__main__", "main"}
IMPURE_MODULES = {"time", "random", "secrets"}
IMPURE_NAMES = re.compile(r"(datetime|date)\.(now|utcnow|today)|uuid\.uuid[14]|os\.urandom")
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def where(path: Path, node: ast.AST | None = None) -> str:
    """The place, as editors and terminals like it."""
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def functions() -> Iterator[tuple[str, Function]]:
    """Every function of the project, with its place."""
    for path, tree in EVERYTHING.items():
        found = [node for node in ast.walk(tree) if isinstance(node, Function)]
        yield from ((f"{where(path, node)} {node.name}", node) for node in found)


def length(function: Function) -> int:
    """Lines of the body, without the docstring."""
    body = function.body[ast.get_docstring(function) is not None :]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def depth(node: ast.AST) -> int:
    """How deep blocks are nested in a function's own body; an inner function has a body of its own."""
    own = [child for child in ast.iter_child_nodes(node) if not isinstance(child, Function | ast.ClassDef)]
    return max((depth(child) + is_level(node, child) for child in own), default=0)


def is_level(parent: ast.AST, child: ast.AST) -> bool:
    """Whether a node is indented further; `elif` is not, it starts in the column of its `if`."""
    if not (isinstance(parent, ast.If) and isinstance(child, ast.If)):
        return isinstance(child, BLOCKS)
    return parent.orelse != [child] or parent.col_offset != child.col_offset


def undocumented(body: list[ast.stmt], path: Path) -> Iterator[str]:
    """Public functions, classes and methods without a docstring."""
    for node in body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_") or is_exempt(node):
            continue
        if ast.get_docstring(node) is None:
            yield f"{where(path, node)} {node.name}"
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, path)


def is_exempt(node: Function | ast.ClassDef) -> bool:
    """Whether another definition of that name carries the docstring: of overloads, of property setters."""
    marks = [ast.unparse(mark) for mark in node.decorator_list]
    return any(mark.endswith(("overload", ".setter", ".deleter")) for mark in marks)


def impurities(tree: ast.AST) -> Iterator[ast.AST]:
    """Where a module reaches for a clock, randomness or a random identifier."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                impure = any(alias.name in IMPURE_MODULES for alias in node.names)
            case ast.ImportFrom(level=0):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                impure = node.module in IMPURE_MODULES or any(map(IMPURE_NAMES.fullmatch, names))
            case ast.Attribute():
                impure = IMPURE_NAMES.search(ast.unparse(node)) is not None
            case _:
                impure = False
        if impure:
            yield node


def text(name: str, line_limit: int) -> list[str]:
    """The lines of a document at the root that has to exist and stay short."""
    assert (ROOT / name).exists(), f"{name} is missing"
    lines = (ROOT / name).read_text().splitlines()
    assert len(lines) <= line_limit, f"{name} has {len(lines)} lines, more than {line_limit}: link instead"
    return lines


def test_a_file_is_read_in_one_sitting() -> None:
    lengths = {where(path): len(path.read_text().splitlines()) for path in EVERYTHING}
    long = {place: lines for place, lines in lengths.items() if lines > 400}
    assert not long, f"more than 400 lines, split by responsibility: {long}"


def test_a_function_fits_on_a_screen() -> None:
    long = {place: length(function) for place, function in functions() if length(function) > 60}
    assert not long, f"more than 60 lines, name its phases: {long}"


def test_a_call_is_readable() -> None:
    wide = [place for place, node in functions() if len(node.args.posonlyargs + node.args.args) > 8]
    assert not wide, f"more than 8 positional parameters, make options keyword-only: {wide}"


def test_options_are_keyword_only() -> None:
    loose = [place for place, node in functions() if len(node.args.defaults) > 1]
    assert not loose, f"several positional parameters with a default, put `*` before the options: {loose}"


def test_nesting_stays_flat() -> None:
    deep = {place: depth(node) for place, node in functions() if depth(node) > 3}
    assert not deep, f"nested more than 3 levels, use guard clauses or a named function: {deep}"


def test_a_module_is_called_what_it_holds() -> None:
    vague = [where(path) for path in SOURCES if path.stem in VAGUE or path.parent.name in VAGUE]
    assert not vague, f"a vague name, say what is inside: {vague}"


def test_a_name_is_found_in_one_guess() -> None:
    named = [path for path in SOURCES if path.stem not in PORT_NAMES | ENTRY_NAMES]
    stems = Counter(path.stem for path in named)
    twice = [where(path) for path in named if stems[path.stem] > 1]
    assert not twice, f"two modules of the same name, rename one: {twice}"


def test_a_module_says_what_it_is_for() -> None:
    assert SOURCES, "src/onstage has no modules"
    silent = [where(path) for path, tree in SOURCES.items() if ast.get_docstring(tree) is None]
    assert not silent, f"no module docstring: {silent}"


def test_everything_public_has_a_docstring() -> None:
    public = [path for path in SOURCES if not re.search(r"/_[^_]", path.relative_to(ROOT).as_posix())]
    silent = [place for path in public for place in undocumented(SOURCES[path].body, path)]
    assert not silent, f"no docstring, say what it guarantees: {silent}"


def test_a_module_has_a_test_of_its_name() -> None:
    modules = [path.relative_to(PACKAGE) for path in SOURCES if path.stem not in {"__init__", "__main__"}]
    expected = {str(path): f"tests/unit/{path.parent / f'test_{path.name}'}" for path in modules} | COVERED_BY
    lost = {module: test for module, test in expected.items() if not (ROOT / test).exists()}
    assert not lost, f"no test at the expected place, write it or name another in COVERED_BY: {lost}"


def test_covered_by_names_living_modules() -> None:
    stale = [module for module in COVERED_BY if not (PACKAGE / module).exists()]
    assert not stale, f"COVERED_BY names modules that are gone: {stale}"


def test_time_and_chance_come_through_the_clock() -> None:
    pure = [path for path in SOURCES if not is_door(path.relative_to(PACKAGE))]
    impure = [where(path, node) for path in pure for node in impurities(SOURCES[path])]
    assert not impure, f"a clock, randomness or uuid, ask the Clock of ports/clock.py: {impure}"


def is_door(module: Path) -> bool:
    """Whether a module may touch the real clock."""
    return module == Path("ports/clock.py") or module.parts[0] == "testing"


def test_an_init_only_re_exports() -> None:
    bodies = {path: tree.body[1:] for path, tree in SOURCES.items() if path.name == "__init__.py"}
    busy = [where(path, node) for path, body in bodies.items() for node in body if not is_export(node)]
    assert not busy, f"only a docstring, imports and __all__ belong in __init__.py: {busy}"


def is_export(node: ast.stmt) -> bool:
    """Whether a statement imports names or lists them."""
    return isinstance(node, ast.Import | ast.ImportFrom) or is_listing(node)


def is_listing(node: ast.stmt) -> TypeGuard[ast.Assign]:
    """Whether a statement is `__all__ = ...`."""
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def test_the_root_stays_small() -> None:
    body = SOURCES[PACKAGE / "__init__.py"].body
    names = [name for node in body if is_listing(node) for name in ast.literal_eval(node.value)]
    assert 0 < len(names) <= 25, f"onstage.__all__ has {len(names)} names, it needs 1 to 25"


def test_the_readme_shows_code_early() -> None:
    opening = text("README.md", 120)[:25]
    assert any(line.startswith("```") for line in opening), "README.md: no code in the first 25 lines"


def test_the_architecture_is_read_in_one_sitting() -> None:
    assert text("ARCHITECTURE.md", 250), "ARCHITECTURE.md is empty"


def test_the_architecture_names_living_modules() -> None:
    where_it_is = "\n".join(text("ARCHITECTURE.md", 250)).partition("## Where does X happen")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+\.(?:py|sql))`", where_it_is)
    living = {path.name for path in PACKAGE.rglob("*.*")}
    gone = [name for name in named if not (PACKAGE / name).exists() and ("/" in name or name not in living)]
    assert len(named) > 100, "the table of places is not read"
    assert not gone, f"ARCHITECTURE.md names modules that are gone: {gone}"


def test_the_makefile_has_at_most_ten_targets() -> None:
    targets = re.findall(r"^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert 0 < len(targets) <= 10, f"the Makefile has {len(targets)} targets: {targets}"
