"""What the documents say of files, make targets and rooms is true."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.params.data import Data, Rows
from darkroom.params.rules.data import data_faults
from darkroom.tasks.metrics.specs import METRICS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
HISTORY = ("CHANGELOG.md",)  # may name what has gone
PATH = re.compile(r"`((?:src|tests|docs|benchmarks|recipes)/[\w./]*\w/?)`")
TEST = re.compile(r"`(tests/[\w./]+\.py)::(\w+)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
TARGET = re.compile(r"`make ([a-z-]+(?: [a-z-]+)*)`")


CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def page_id(page: Path) -> str:
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_files_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text()
    named = [] if page.name in HISTORY else [ROOT / path for path in PATH.findall(text)]
    linked = [page.parent / path for path in LINK.findall(text)]
    assert [str(path) for path in (*named, *linked) if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_make_targets_that_a_page_names_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for names in TARGET.findall(page.read_text()) for name in names.split()}
    assert named <= targets


def test_messages_that_the_page_on_kaggle_explains_are_those_of_the_source() -> None:
    page = (ROOT / "docs/kaggle.md").read_text().split("## When Kaggle says no")[1]
    messages = re.findall(r"^\| (?!message|-)(.+?)(?: …)? \|", page, re.MULTILINE)
    texts = [
        node.value
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert messages
    assert [m for m in messages if not any(m in text for text in texts)] == []


def test_each_fault_is_held_by_a_test_that_exists() -> None:
    """A row has five cells; the fourth names tests as `tests/room/test_file.py::test_name`."""
    rows = [
        line.strip().strip("|").replace("\\|", "/").split("|")
        for line in (ROOT / "docs/reliability.md").read_text().splitlines()
        if line.startswith("|") and not line.startswith(("| fault |", "|---"))
    ]
    assert [row[0] for row in rows if len(row) != 5] == []
    for fault, *_, held_by, _ in rows:
        named = TEST.findall(held_by)
        assert named, f"no test: {fault}"
        for file, name in named:
            assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"


def test_the_tree_in_the_architecture_is_the_tree() -> None:
    """Each room has its line under `src/darkroom`, and the tests' rooms under `tests`."""
    page = (ROOT / "docs/architecture.md").read_text()
    for top in ("src/darkroom", "tests"):
        block = page.split(f"```text\n{top}/\n")[1].split("```")[0]
        lines = re.findall(r"^ {4}(\S+) +\S", block, re.MULTILINE)
        listed = [line.rstrip("/") for line in lines]
        hidden = {"__init__.py", "__pycache__", "py.typed"}
        entries = {path.name for path in (ROOT / top).iterdir()} - hidden
        if top == "tests":
            entries = {name for name in entries if (ROOT / top / name).is_dir()}
            listed = [name for name in listed if not name.endswith(".py")]
        assert sorted(listed) == sorted(entries)


def _competitions() -> str:
    return (ROOT / "docs/competitions.md").read_text()


def test_the_table_of_metrics_names_all_and_says_what_they_write() -> None:
    table = _competitions().split("<!-- metrics -->")[1].split("<!-- /metrics -->")[0]
    written = {
        "labels": "answers",
        "probabilities": "probabilities",
        "ranking": "a ranking",
        "scored_label": "the best class and its probability",
        "values": "numbers",
        "masks": "a mask a row",
        "objects": "an object a row",
    }
    listed = {}
    for row in table.strip().splitlines()[2:]:
        names, tasks, best, holds = (cell.strip() for cell in row.strip("|").split("|"))
        for name in CODE.findall(names):
            listed[name] = (sorted(tasks.split(", ")), best)
            assert holds.startswith(written[METRICS[name].writes]), name
    assert listed == {each.name: (sorted(each.tasks), each.best) for each in METRICS.values()}


def test_the_example_of_a_competition_is_valid() -> None:
    section = yaml.safe_load(_competitions().split("```yaml\n")[1].split("```")[0])["severstal"]
    assert data_faults("severstal", Data.model_validate(section["data"])) == []


def test_keys_of_a_competition_that_the_page_shows_are_valid() -> None:
    shown = 0
    for code in CODE.findall(_competitions()):
        if not re.match(r"[a-z]+: ", code) or "..." in code:
            continue
        (key, value), *_ = yaml.safe_load(code).items()
        if key in ("split", "task"):
            continue
        shown += 1
        if key == "test":
            Rows.model_validate(value)
        elif key in Data.model_fields and key not in ("train", "runs"):
            _data(**{key: value})
        elif key == "runs":
            _data(runs=value)
        else:
            Rows.model_validate({key: value})
    assert shown > 40


def _data(**keys: Any) -> Data:
    required = {"source": "x", "task": "multiclass", "train": {"table": "t.csv", "image": "{a}"}}
    return Data.model_validate(required | keys)
