"""The rules of the source tree: sizes of files and rooms, and imports that run down only."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1] / "src/darkroom"
TIERS = (
    ("cli",),
    ("stages",),
    ("deploy",),
    ("submission", "prediction"),
    ("training",),
    ("models", "tasks", "store"),
    ("index",),
    ("raw",),
    ("remote", "images"),
    ("params",),
    ("project",),
    ("errors",),
)
TIER = {room: number for number, rooms in enumerate(TIERS) for room in rooms}
LINES = range(60, 451)
LINES_OF_A_FUNCTION = 60  # with its docstring
FILES_OF_A_ROOM = 12
ENTRIES_AT_THE_TOP = 16

# What may break a rule, and why.
SHORT_BY_NATURE = ("params/", "stages/")  # a section or a stage is as long as it is
MANY_FILES = {"stages": "a file a stage, and what they share"}
# Factories that import what they build when it is asked for; what they build knows their names.
FACTORIES = ("models.build",)
ENTRY_ROOMS = ("cli", "stages")  # they put the other rooms together, and use many files alone


@cache
def modules() -> dict[str, Path]:
    """Return the source files by dotted name below `darkroom`."""
    files = [path for path in sorted(HOUSE.rglob("*.py")) if path != HOUSE / "__init__.py"]
    parts = {path: path.relative_to(HOUSE).with_suffix("").parts for path in files}
    return {".".join(p for p in names if p != "__init__"): path for path, names in parts.items()}


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run, without those under `if TYPE_CHECKING:`."""
    yield tree
    is_for_types = isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING"
    children = tree.orelse if is_for_types else ast.iter_child_nodes(tree)  # type: ignore[attr-defined]
    for child in children:
        yield from nodes(child)


@cache
def imports() -> dict[str, set[str]]:
    """Return the modules of `darkroom` that each one imports, also inside functions."""
    imported: dict[str, set[str]] = {}
    for name, path in modules().items():
        named: set[str] = set()
        for node in nodes(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= {
                    n if n.removeprefix("darkroom.") in modules() else node.module for n in inner
                }
        imported[name] = {n.removeprefix("darkroom.") for n in named} & set(modules()) - {name}
    return imported


def room_of(name: str) -> str:
    """Return the folder of a module; a room is itself."""
    return name if modules()[name].name == "__init__.py" else name.rpartition(".")[0]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the names along a circle of a graph; none, if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_files_have_60_to_450_lines() -> None:
    sizes = {
        path.relative_to(HOUSE).as_posix(): len(path.read_text().splitlines())
        for path in modules().values()
    }
    wrong = {
        name: lines
        for name, lines in sizes.items()
        if lines not in LINES
        and not name.endswith("__init__.py")
        and not (name.startswith(SHORT_BY_NATURE) and lines < LINES.start)
    }
    assert wrong == {}


def test_functions_have_at_most_60_lines() -> None:
    long = {
        f"{module}.{node.name}": node.end_lineno - node.lineno + 1
        for module, path in modules().items()
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= LINES_OF_A_FUNCTION
    }
    assert long == {}


def test_a_room_has_at_most_12_files() -> None:
    rooms = defaultdict(list)
    for path in modules().values():
        if path.name != "__init__.py":
            rooms[path.parent.relative_to(HOUSE).as_posix()].append(path.name)
    assert {room for room, files in rooms.items() if len(files) > FILES_OF_A_ROOM} <= set(
        MANY_FILES
    )


def test_every_room_says_what_it_is_for() -> None:
    for name, path in modules().items():
        if path.name == "__init__.py":
            assert ast.get_docstring(ast.parse(path.read_bytes())), name


def test_the_top_has_at_most_16_entries() -> None:
    names = {path.name for path in HOUSE.iterdir()} - {"__init__.py", "__pycache__", "py.typed"}
    assert len(names) <= ENTRIES_AT_THE_TOP
    assert {name.removesuffix(".py") for name in names} == set(TIER)


def test_imports_run_down_only() -> None:
    upward = {
        (name, imported)
        for name, targets in imports().items()
        for imported in targets
        if TIER[name.split(".")[0]] > TIER[imported.split(".")[0]]
    }
    assert upward == set()


@pytest.mark.parametrize("depth", [1, 9])
def test_no_circle_of_rooms_or_modules(depth: int) -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for name, targets in imports().items():
        source = ".".join(name.split(".")[:depth])
        if name not in FACTORIES or depth == 1:
            graph[source] |= {".".join(t.split(".")[:depth]) for t in targets} - {source}
    assert circle(graph) == []


def test_a_file_with_a_single_importer_stands_in_its_room() -> None:
    importers = defaultdict(set)
    for name, targets in imports().items():
        for imported in targets:
            importers[imported].add(name)
    astray = {
        name
        for name, users in importers.items()
        if len(users) == 1 and modules()[name].name != "__init__.py"
        for user in users
        if user.split(".")[0] not in ENTRY_ROOMS
        if not f"{room_of(name)}.".startswith(f"{room_of(user)}.")
        and not f"{room_of(user)}.".startswith(f"{room_of(name)}.")
    }
    assert astray == set()


def test_every_walk_hears_its_errors() -> None:
    """`glob`, `rglob` and `os.walk` leave out what may not be listed: half a data set, say."""
    deaf = {"glob", "rglob", "walk", "iglob"}
    found = {
        f"{module}: {node.func.attr}"
        for module, path in modules().items()
        for node in nodes(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in deaf
        and not any(word.arg == "onerror" for word in node.keywords)
    }
    assert found == set(), "use walk_files or matching_files of project/files.py"
