"""Which source files a module needs, read from its import statements, however deep.

dvc.yaml lists them, stage by stage, and a result's fingerprint is taken over them: both
from here, so that an edit reruns exactly the stages whose code it touches.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent


def source_files(module: str) -> list[Path]:
    """Return the files of `darkroom` that a module imports, itself included, sorted.

    Imports inside functions count; imports for type checkers alone do not.

    Args:
        module: A dotted name, such as `darkroom.stages.train`.
    """
    todo, files = [module], dict[str, Path]()
    while todo:
        name = todo.pop()
        path = _file(name)
        if name in files or path is None:
            continue
        files[name] = path
        parents = [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
        todo += [*parents, *_imports(path)]
    return sorted(files.values())


def _file(module: str) -> Path | None:
    top, *parts = module.split(".")
    if top != "darkroom":
        return None
    place = PACKAGE.joinpath(*parts)
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def _imports(path: Path) -> list[str]:
    """Return the modules that a file may import; `from a import b` may mean the module a.b."""
    names: list[str] = []
    for node in _run_at_runtime(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _run_at_runtime(tree: ast.AST) -> list[ast.AST]:
    """Return the nodes of a tree without those under `if TYPE_CHECKING:`."""
    nodes, todo = [], [tree]
    while todo:
        node = todo.pop()
        nodes.append(node)
        if (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            todo += node.orelse
        else:
            todo += ast.iter_child_nodes(node)
    return nodes
