"""All mutants of a module: its source with one small change each.

Changed are comparisons, `and`/`or`, arithmetic, constants (±1, flipped, other text), conditions (negated, `not`
removed), statements and `raise` (removed), results (None instead), arguments, keywords, elements and cases (dropped),
`min`/`max` and the like (swapped). Left as they are: annotations and aliases of types, docstrings, `__all__`,
`__slots__`, `if TYPE_CHECKING`, assertions, the text of messages and of named string constants, and options that say
how something is stored and never what it does (`gc`, `slots`).
"""

import ast
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

# fmt: off
COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
}
CALCULATED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.BitXor: ast.BitOr,
}
# fmt: on
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}
UNCHANGED_NAMES = {"__all__", "__slots__"}
UNCHANGED_OPTIONS = {"gc", "slots"}
UNCHANGED_FIELDS = {"annotation", "returns", "format_spec"}

Place = tuple[Any, str | int, ast.AST]  # a node's fields or a list, the key there, and what stands there
Change = tuple[Any, str | int, ast.AST, ast.AST]  # a place, and what may stand there instead


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed module: its file, the line of the change, all of its new source, and the changed lines."""

    path: Path
    line: int
    source: str
    diff: str


def mutants_of(path: Path) -> list[Mutant]:
    """Every mutant of the module, in the order of its lines; no two have the same source."""
    tree = ast.parse(path.read_text())
    original = ast.unparse(tree)
    found: dict[str, Mutant] = {}
    for place, key, node, replacement in list(walk(tree, loaded_names(tree), in_function=False)):
        place[key] = replacement
        source = ast.unparse(tree)
        place[key] = node
        compile(source, path, "exec")  # no mutant is killed by being no Python
        if source != original:
            line = getattr(node, "lineno", 0)
            found.setdefault(source, Mutant(path, line, source, difference(original, source)))
    return sorted(found.values(), key=lambda mutant: mutant.line)


def difference(before: str, after: str) -> str:
    """The changed lines of two sources, without headers."""
    lines = list(unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in lines if not line.startswith("@@"))


def loaded_names(parent: ast.AST) -> set[str]:
    """The names that are read at run time, not only in annotations."""
    nodes = [node for _, _, node in children(parent)]
    own = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return own.union(*map(loaded_names, nodes))


def walk(parent: ast.AST, loaded: set[str], *, in_function: bool) -> Iterator[Change]:
    """What may change below a node."""
    in_function = in_function or isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef)
    for place, key, node in children(parent):
        if not is_unchanged(parent, node, loaded):
            found = statements(node) if in_function and isinstance(node, ast.stmt) else ()
            yield from ((place, key, node, other) for other in (*found, *alternatives(node)))
            yield from walk(node, loaded, in_function=in_function)


def children(parent: ast.AST) -> Iterator[Place]:
    """The nodes directly below a node, with their places."""
    for field, value in ast.iter_fields(parent):
        if isinstance(value, ast.AST) and field not in UNCHANGED_FIELDS:
            yield vars(parent), field, value
        elif isinstance(value, list):
            yield from ((value, index, node) for index, node in enumerate(value) if isinstance(node, ast.AST))


def is_unchanged(parent: ast.AST, node: ast.AST, loaded: set[str]) -> bool:
    """Whether a node is left as it is, with all below it."""
    match node:
        case ast.Assert() | ast.Expr(value=ast.Constant() | ast.Call(func=ast.Name(id="assert_never"))):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Return(value=ast.Constant(value=None)):
            return True
        case ast.keyword(arg=arg):
            return arg in UNCHANGED_OPTIONS
        case ast.Constant():
            return isinstance(parent, ast.JoinedStr)
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target) if isinstance(target, ast.Name):
            is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
            is_alias = is_type(node.value) and target.id not in loaded
            return is_text or is_alias or target.id in UNCHANGED_NAMES
    return isinstance(parent, ast.Raise)


def is_type(node: ast.AST | None) -> bool:
    """Whether an expression is a union of types or a `Literal`."""
    match node:
        case ast.BinOp(op=ast.BitOr(), right=ast.Name(id=name)):
            return name[0].isupper()
        case ast.Subscript(value=ast.Name(id="Literal")):
            return True
    return False


def changed(node: ast.AST, **fields: Any) -> Any:
    """A copy of a node with other fields."""
    other = copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def without_one(node: ast.AST, field: str) -> Iterator[ast.AST]:
    """The node without one of the items of a field, for each; a truth value is flipped instead, elsewhere."""
    items = getattr(node, field)
    for index, item in enumerate(items):
        is_flag = isinstance(item, ast.keyword) and isinstance(getattr(item.value, "value", None), bool)
        if not is_flag:
            yield changed(node, **{field: items[:index] + items[index + 1 :]})


def statements(node: ast.stmt) -> Iterator[ast.AST]:
    """What may stand in a statement's place inside a function."""
    if isinstance(node, ast.Raise | ast.Expr | ast.Assign | ast.AugAssign | ast.AnnAssign):
        yield ast.Pass()
    if isinstance(node, ast.AugAssign):
        yield changed(node, op=CALCULATED[type(node.op)]())
    if isinstance(node, ast.Return) and node.value is not None:
        yield changed(node, value=None)


def alternatives(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in a node's place anywhere."""
    match node:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not has_opposite(test):
            yield changed(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.comprehension(ifs=ifs):
            yield from without_one(node, "ifs")
            yield changed(node, ifs=[test if has_opposite(test) else ast.UnaryOp(ast.Not(), test) for test in ifs])
        case ast.Match() if len(node.cases) > 1:
            yield from without_one(node, "cases")
        case ast.ClassDef():
            yield from without_one(node, "keywords")
        case ast.expr():
            yield from expressions(node)


def has_opposite(test: ast.expr) -> bool:
    """Whether the changes of a condition hold its negation anyway."""
    return isinstance(test, ast.Compare) or (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not))


def expressions(node: ast.expr) -> Iterator[ast.AST]:
    """What may stand in an expression's place."""
    match node:
        case ast.Compare(ops=[op]):
            yield from (changed(node, ops=[other()]) for other in COMPARED[type(op)])
        case ast.BoolOp(op=op, values=values):
            yield changed(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
            yield from without_one(node, "values") if len(values) > 2 else values
        case ast.BinOp(left=left, right=right) if is_type(node):
            yield from (left,) if is_type(left) else (left, right)
        case ast.BinOp(op=op):
            yield changed(node, op=CALCULATED[type(op)]())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.Constant(value=value):
            yield from (ast.Constant(other) for other in other_values(value))
        case ast.Tuple(ctx=ast.Load()) | ast.List(ctx=ast.Load()):
            yield from without_one(node, "elts")
        case ast.Dict(keys=keys, values=values):
            for index in range(len(keys)):
                yield ast.Dict(keys[:index] + keys[index + 1 :], values[:index] + values[index + 1 :])
        case ast.Call(func=func, args=args):
            yield from without_one(node, "keywords")
            if len(args) > 1:
                yield changed(node, args=args[:-1])
            if isinstance(func, ast.Name) and func.id in SWAPPED:
                yield changed(node, func=ast.Name(SWAPPED[func.id]))


def other_values(value: object) -> tuple[object, ...]:
    """Constants near this one."""
    match value:
        case bool():
            return (not value,)
        case int():
            return (value + 1, value - 1)
        case float():
            return (value + 1,)
        case str():
            return (f"{value}?",)
    return ()
