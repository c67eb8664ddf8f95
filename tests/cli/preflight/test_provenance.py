"""The commit and the outdated stages of a project, and failures of git and DVC."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom.cli.preflight import provenance
from darkroom.cli.preflight.provenance import Commit
from darkroom.errors import ArtifactError
from tests.support.committed import commit, git

FILES = ("params.yaml", "dvc.yaml", "dvc.lock", "darkroom.json", "src/cars/__init__.py")


def put(root: Path, *names: str, text: str = "1\n") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose files are committed."""
    put(tmp_path, *FILES, "README.md")
    put(tmp_path, ".gitignore", text="__pycache__/\n/data/\n")
    commit(tmp_path)
    return tmp_path


def changed_files(root: Path) -> tuple[str, ...]:
    current = provenance.read_commit(root)
    assert current is not None
    return current.changed


def test_a_clean_project(root: Path) -> None:
    head = git(root, "rev-parse", "HEAD")
    current = provenance.read_commit(root)
    assert current == Commit(head, ())
    assert str(current) == head
    assert len(head) == 40


def test_a_changed_project_is_marked(root: Path) -> None:
    put(root, "params.yaml", text="2\n")
    assert changed_files(root) == ("params.yaml",)
    assert str(provenance.read_commit(root)) == git(root, "rev-parse", "HEAD") + "-dirty"


@pytest.mark.parametrize("name", FILES)
def test_files_that_count_as_changes(root: Path, name: str) -> None:
    put(root, name, text="2\n")
    assert changed_files(root) == (name,)
    git(root, "add", ".")
    assert changed_files(root) == (name,)  # staged is not committed
    git(root, "commit", "--quiet", "-m", "two")
    assert changed_files(root) == ()
    (root / name).unlink()
    assert changed_files(root) == (name,)


def test_files_that_do_not_count_as_changes(root: Path) -> None:
    put(root, "README.md", "notes.txt", "data/raw/1.jpg", "tests/test_cars.py", text="2\n")
    put(root, "src/cars/__pycache__/__init__.cpython-311.pyc", text="2\n")
    assert changed_files(root) == ()


def test_untracked_files_count(root: Path) -> None:
    put(root, "src/cars/new wheel.py", 'src/cars/"é".py')
    assert changed_files(root) == ('src/cars/"é".py', "src/cars/new wheel.py")
    git(root, "rm", "--quiet", "--cached", "dvc.lock")
    git(root, "commit", "--quiet", "-m", "two")
    assert "dvc.lock" in changed_files(root)


@pytest.mark.parametrize("name", ["dvc.lock", "src/cars/secret.py", "src/"])
def test_ignored_files_are_not_committed(root: Path, name: str) -> None:
    git(root, "rm", "-r", "--quiet", "--cached", *(["dvc.lock"] if name == "dvc.lock" else ["src"]))
    put(root, ".gitignore", text=f"/{name}\n")
    put(root, "dvc.lock", "src/cars/secret.py")
    commit(root)
    assert changed_files(root) == (name,)


def test_a_renamed_file(root: Path) -> None:
    git(root, "mv", "src/cars/__init__.py", "src/cars/wheels.py")
    assert changed_files(root) == ("src/cars/__init__.py", "src/cars/wheels.py")


def test_a_project_in_a_subfolder_of_a_repository(root: Path) -> None:
    deep = root / "work" / "cars"
    put(deep, *FILES)
    assert changed_files(deep) == tuple(sorted(FILES))
    commit(root)
    put(root, "params.yaml", text="2\n")  # the outer one's
    assert changed_files(deep) == ()
    put(deep, "params.yaml", text="2\n")
    assert changed_files(deep) == ("params.yaml",)


def test_no_repository(tmp_path: Path) -> None:
    assert provenance.read_commit(tmp_path) is None


def test_no_commit_yet(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert provenance.read_commit(tmp_path) is None


def test_no_git(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert provenance.read_commit(root) is None


def test_a_failure_of_git_does_not_count_as_clean(root: Path) -> None:
    put(root, ".git/index", text="no index")
    with pytest.raises(ArtifactError, match="git cannot list the changes") as caught:
        provenance.read_commit(root)
    message = str(caught.value)
    assert "found: fatal: " in message
    assert "to do: run `git status -z" in message


def test_the_git_index_is_not_changed(root: Path) -> None:
    index = (root / ".git" / "index").read_bytes()
    os.utime(root / "params.yaml", (1e9, 1e9))
    assert changed_files(root) == ()
    assert (root / ".git" / "index").read_bytes() == index


PIPELINE = """
stages:
  one:
    matrix: {name: [cars, faces]}
    cmd: cp raw.txt ${item.name}.txt
    params: ["${item.name}.size"]
    deps: [raw.txt]
    outs: ["${item.name}.txt"]
  two:
    matrix: {name: [cars, faces]}
    cmd: cp ${item.name}.txt ${item.name}.csv
    deps: ["${item.name}.txt"]
    outs: ["${item.name}.csv"]
"""


def dvc(root: Path, *words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "dvc", *words, "--quiet"], cwd=root, check=True, capture_output=True
    )


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    put(tmp_path, "dvc.yaml", text=PIPELINE)
    put(tmp_path, "raw.txt")
    put(tmp_path, "params.yaml", text="cars: {size: 1}\nfaces: {size: 1}\n")
    dvc(tmp_path, "init", "--no-scm")
    return tmp_path


@pytest.mark.slow
def test_stages_that_would_run_again(pipeline: Path) -> None:
    assert provenance.outdated_stages(pipeline, "two@cars") == ["one@cars", "two@cars"]
    dvc(pipeline, "repro")
    assert provenance.outdated_stages(pipeline, "two@cars") == []
    put(pipeline, "params.yaml", text="cars: {size: 1}\nfaces: {size: 2}\n")
    assert provenance.outdated_stages(pipeline, "two@cars") == []
    assert provenance.outdated_stages(pipeline, "two@faces") == ["one@faces"]
    put(pipeline, "cars.csv", text="2\n")
    assert provenance.outdated_stages(pipeline, "two@cars") == ["two@cars"]


def test_a_folder_without_dvc(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="DVC cannot list what has changed") as caught:
        provenance.outdated_stages(tmp_path, "two@cars")
    message = str(caught.value)
    assert "you are not inside of a DVC repository" in message
    assert "to do: run `dvc status --json --with-deps two@cars`" in message


@pytest.mark.slow
def test_an_unknown_stage(pipeline: Path) -> None:
    with pytest.raises(ArtifactError, match="'three@cars' does not exist"):
        provenance.outdated_stages(pipeline, "three@cars")


def test_why_there_is_no_commit(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    bare = tmp_path_factory.mktemp("bare")
    assert provenance.explain_no_commit(bare)[0] == "no git repository"
    git(bare, "init", "--quiet")
    assert provenance.read_commit(bare) is None
    assert (
        provenance.explain_no_commit(bare)[0]
        == "a git repository without a commit that can be read"
    )
    (root / ".git/HEAD").write_text("spoilt")
    assert provenance.read_commit(root) is None
    assert provenance.explain_no_commit(root / "src")[0] == "a .git that git does not accept"
