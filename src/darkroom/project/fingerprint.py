"""Fingerprints of results: a hash of the parameters, the inputs and the code they come from."""

import ast
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from darkroom.project.files import file_sha256, walk_files
from darkroom.project.packages import version_of

LIBRARIES = (
    "albumentations",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "scikit-learn",  # stacks of blends
    "segmentation-models-pytorch",
    "simplejpeg",
    "timm",
    "torch",
    "torchvision",
)


def libraries() -> dict[str, str]:
    """Return the versions of Python and of the packages that pixels and weights depend on.

    Those that are not installed are left out.
    """
    versions = {name: version_of(name) for name in LIBRARIES}
    present = {name: version for name, version in versions.items() if version is not None}
    return {"python": platform.python_version()} | present


def stage_fingerprint(
    stage: str,
    params: Mapping[str, Any],
    inputs: Sequence[Path],
    digests: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the fingerprint of a stage's result, 64 hexadecimal digits; see `stage_parts`."""
    return parts_fingerprint(stage_parts(stage, params, inputs, digests))


def parts_fingerprint(parts: Mapping[str, Any]) -> str:
    """Return the fingerprint of what `stage_parts` returns."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def stage_parts(
    stage: str,
    params: Mapping[str, Any],
    inputs: Sequence[Path],
    digests: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return all that a stage's result comes from, as JSON values.

    Args:
        stage: The stage, such as `train`; the source files that its module imports are hashed.
        params: The parameters that the stage reads; they can be written as JSON.
        inputs: Files, and folders whose files are hashed with their relative names; where they
            lie does not matter.
        digests: The sha256, by name, of what has been read already: a file may be another one
            a moment later.

    Returns:
        `stage` and `params` as given; `inputs`, pairs of a name and a digest; `code`, digests by
        name; `libraries`, versions by name.
    """
    contents = [
        [Path(path.name, file.relative_to(path)).as_posix(), file_sha256(file)]
        for path in inputs
        for file in (_files_inside(path) if path.is_dir() else [path])
    ]
    contents += [[name, digest] for name, digest in digests.items()]
    return {
        "stage": stage,
        "params": dict(params),
        "inputs": sorted(contents),
        "code": {
            path.relative_to(PACKAGE).as_posix(): file_sha256(path)
            for path in import_closure(f"darkroom.stages.{stage}")
        },
        "libraries": libraries(),
    }


def _files_inside(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in walk_files(folder) if entry.is_file()]


PACKAGE = Path(__file__).parents[1]
_BODIES = (ast.stmt, ast.excepthandler, ast.match_case)  # what statements stand in


@cache  # a process reads its sources once
def import_closure(module: str) -> list[Path]:
    """Return the files of `darkroom` that a module imports, itself included, sorted.

    Imports inside functions are followed; imports under TYPE_CHECKING are not. Files without code
    are left out, such as an `__init__` that is only a docstring.

    Args:
        module: A dotted name, such as `darkroom.stages.train`.

    Example:
        >>> [path.name for path in import_closure("darkroom.project.paths")]
        ['__init__.py', 'paths.py']
    """
    todo, files = [module], dict[str, Path]()
    while todo:
        name = todo.pop()
        path = _file(name)
        if name in files or path is None:
            continue
        files[name] = path
        parents = [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
        todo += [*parents, *_code_and_imports(path)[1]]
    return sorted(filter(has_code, files.values()))


def has_code(path: Path) -> bool:
    """Return whether a Python file holds more than a docstring."""
    return _code_and_imports(path)[0]


def _file(module: str) -> Path | None:
    top, *parts = module.split(".")
    if top != "darkroom":
        return None
    place = PACKAGE.joinpath(*parts)
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file():
            return path
    return None


@cache
def _code_and_imports(path: Path) -> tuple[bool, list[str]]:
    """Return whether a file has code, and the modules that it may import.

    `from a import b` may mean the module a.b. Both at once: parsing takes nearly all the time.
    """
    tree, names = ast.parse(path.read_bytes()), list[str]()
    is_code = len(tree.body) > (ast.get_docstring(tree, clean=False) is not None)
    for node in _statements_at_runtime(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return is_code, names


def _statements_at_runtime(tree: ast.AST) -> list[ast.AST]:
    """Return the statements of a tree, without those under `if TYPE_CHECKING:`."""
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
            # No import stands within an expression: those are most of a tree's nodes.
            todo += [child for child in ast.iter_child_nodes(node) if isinstance(child, _BODIES)]
    return nodes
