"""Packages of extras: what pyproject.toml requires, what the source imports, what errors say."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from darkroom.deploy.wheels import LACKING
from darkroom.errors import ResourceError
from darkroom.project import packages
from darkroom.project.packages import EXTRAS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/darkroom"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Of the base, the modules of packages that have another name.
MODULES = {
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "ruamel.yaml": "ruamel",
}
OTHERS = {"all", "dev"}  # of other extras, or for developers


def package(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;(]", requirement.strip(), maxsplit=1)[0].lower()


def base() -> set[str]:
    """Return the modules that the base brings."""
    names = {package(line) for line in PROJECT["dependencies"]}
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def imports(tree: ast.AST, *, lazy: bool) -> Iterator[str]:
    """Yield the modules that a file imports, and names in them, which may be modules."""
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not lazy:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        todo += ast.iter_child_nodes(node)


def own_imports(tree: ast.AST) -> list[str]:
    """Return the modules of `darkroom` that a file imports when it is imported itself."""
    names = imports(tree, lazy=False)
    return [name.removeprefix("darkroom.") for name in names if name.startswith("darkroom.")]


def top_imports(tree: ast.AST, *, lazy: bool) -> set[str]:
    """Return the packages that a file imports; without `lazy`, only when it is imported itself."""
    names = {name.partition(".")[0] for name in imports(tree, lazy=lazy)}
    return names - sys.stdlib_module_names - {"darkroom", "pydantic_core", "markupsafe"}


def test_the_extras_are_those_of_pyproject() -> None:
    extras = {
        name: {package(line) for line in lines} - {"darkroom"}
        for name, lines in PROJECT["optional-dependencies"].items()
        if name not in OTHERS
    }
    assert extras == {name: set(modules.values()) for name, modules in EXTRAS.items()}


def test_every_import_is_of_the_base_or_of_an_extra() -> None:
    extra = {module for modules in EXTRAS.values() for module in modules}
    imported = set[str]()
    for path in SOURCE.rglob("*.py"):
        imported |= top_imports(ast.parse(path.read_bytes()), lazy=True)
    assert imported - base() - extra == set()
    # No package is required that nobody imports.
    assert base() <= imported


@pytest.mark.parametrize(
    "module",
    ["cli.main", "cli.check", "cli.setup.doctor"]
    + [f"stages.{stage}" for stage in ("index", "preprocess", "predict", "evaluate", "submission")],
)
def test_what_predicts_imports_no_extra_before_it_needs_one(module: str) -> None:
    extra = {name for modules in EXTRAS.values() for name in modules}
    todo, done = [module], set[str]()
    while todo:
        name = todo.pop()
        path = SOURCE.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name in done or not path.is_file():
            continue
        done.add(name)
        tree = ast.parse(path.read_bytes())
        assert top_imports(tree, lazy=False) & extra == set(), name
        todo += own_imports(tree)
    assert len(done) > 5


def test_an_error_says_which_extra_to_install() -> None:
    error = packages.missing_module_error("sklearn.linear_model", file="a.csv")
    assert str(error) == (
        "a.csv: the package scikit-learn is needed, and is not installed\n"
        "  to do: pip install scikit-learn"
    )
    assert packages.missing_module_error("antigravity_two") is None


def test_an_import_that_fails_becomes_that_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ResourceError, match="package timm is needed"), packages.extras_needed():
        import timm  # noqa: F401
    with pytest.raises(ModuleNotFoundError, match="no_such"), packages.extras_needed():
        import no_such  # type: ignore[import-not-found]  # noqa: F401


def test_versions_are_found_or_none() -> None:
    assert packages.version_of("darkroom") == PROJECT["version"]
    assert packages.version_of("no-such-package") is None


def test_missing_modules_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "odd", {"json": "json", "no_such": "no-such"})
    assert packages.missing_modules("odd") == ["no_such"]


def test_the_base_takes_the_versions_of_kaggle_s_image() -> None:
    """A bundle brings no newer ones, and an install there must replace nothing."""
    pins = dict(re.findall(r"([\w.-]+)==(\S+)", (ROOT / "Makefile").read_text()))
    required = [Requirement(line) for line in PROJECT["dependencies"]]
    refused = {
        each.name: pins.get(each.name)
        for each in required
        if each.name not in {*LACKING, "jinja2"}  # torch brings jinja2
        and pins.get(each.name, "0") not in each.specifier
    }
    assert refused == {}
