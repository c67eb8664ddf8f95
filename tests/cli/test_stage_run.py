"""One run of a stage: what it waits for, and what it refuses at its end."""

import re
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom.cli import stage_run
from darkroom.cli.main import read_context
from darkroom.cli.stage_run import FOOTPRINTS, artefacts
from darkroom.errors import ArtifactError
from darkroom.params.competition import PseudoLabels, Transfer
from darkroom.project import files
from darkroom.project.paths import Layout
from darkroom.stages._context import Context
from tests.support import tiny

ROOT = Path(__file__).parents[2]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
SECTIONS = ("data", "split", "preprocess", "model", "train", "evaluate", "predict")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project, the current folder, with a file in the place of every artefact."""
    tiny.project(tmp_path, "masks")
    monkeypatch.chdir(tmp_path)
    for places in artefacts(read_context("tiny")).values():
        for path in (path for _, paths in places for path in paths):
            name = path if path.suffix else path / "file"
            name.parent.mkdir(parents=True, exist_ok=True)
            name.write_text("before")
    return tmp_path


read = partial(read_context, "tiny")


def run(stage: str, meanwhile: Callable[[], object]) -> list[str]:
    """Return what a stage finds changed at its end, if something happens while it runs."""
    try:
        with stage_run.stage_run(stage, read):
            meanwhile()
    except ArtifactError as error:
        head, *lines, last = str(error).splitlines()
        assert head.startswith(f"what {stage} began with has changed while it ran")
        assert last.startswith("  to do: run it again: put back what it was")
        return [line.strip() for line in lines]
    return []


def edit(root: Path, key: str) -> None:
    """Change one section, or a key beside the sections, of params.yaml."""
    changes: dict[str, dict[str, Any]] = {
        "data": {"header": ["image", "runs"]},
        "split": {"folds": 3},
        "preprocess": {"height": 64},
        "model": {"width": 8},
        "train": {"lr": 0.5},
        "before": {"lr": 0.01},
        "evaluate": {"min_area": 3},
        "predict": {"batch_size": 3},
    }

    def change(params: dict[str, Any]) -> None:
        if key in changes:
            params["tiny"][key.replace("before", "train")] |= changes[key]
        else:
            params |= {"seed": 99} if key == "seed" else {"folds": [0]}

    tiny.edit(root, change)


def keys_of(stage: str) -> set[str]:
    """Return the parameters that dvc.yaml names for a stage."""
    named = {
        text.replace("${item.name}.", "").replace("${item.blend.members[0]}.", "")
        for text in PIPELINE[stage].get("params", ())
    }
    return {key.replace("transfers", "transfer").replace("blends", "blend") for key in named}


@pytest.mark.parametrize("stage", FOOTPRINTS)
def test_a_stage_reads_and_writes_what_dvc_yaml_says(stage: str) -> None:
    footprint = FOOTPRINTS[stage]
    assert set(footprint.params) == keys_of(stage)

    transfer = Transfer.model_validate({"to": "NAME", "from": "FROM"})
    labels = PseudoLabels.model_construct(to="NAME", source="FROM")
    context = replace(
        _context(), paths=Layout("NAME"), folds=(0,), transfer=transfer, pseudo_labels=labels
    )
    if stage == "blend":
        context = replace(context, paths=Layout("NAME", first="FIRST"), members=(_context(),))
    paths = {
        path.as_posix(): name
        for name, places in artefacts(context).items()
        for _, entries in places
        for path in entries
        if name != "decision"  # of the evaluation
    }
    paths["data/predictions"] = "members"  # DVC can't depend on the folders of a list of sections
    paths |= {"data/start/NAME/fold0": "weights", "reports/NAME/history/fold0.csv": "model"}
    for part in ("valid", "test"):
        paths[f"data/predictions/NAME/{part}"] = part
        paths[f"data/predictions/NAME/{part}/fold0.arrow"] = "predictions"

    def names(*keys: str) -> set[str]:
        texts = [
            str(next(iter(e)) if isinstance(e, dict) else e)
            for k in keys
            for e in PIPELINE[stage].get(k, ())
        ]
        for old, new in (
            ("name", "NAME"),
            ("fold", "0"),
            ("part", "test"),
            ("blend.name", "NAME"),
            ("blend.members[0]", "FIRST"),
            ("pair.to", "NAME"),
            ("pair.from", "FROM"),
        ):
            texts = [text.replace(f"${{item.{old}}}", new) for text in texts]
        texts = [re.sub("/curves/.*", "/curves", text) for text in texts]
        apart = ("src/", "metrics", "data/stamps/", "data/params.json")
        return {paths[text] for text in texts if not text.startswith(apart)}

    reads = {name.replace("decision", "evaluation") for name in footprint.reads}
    if stage == "train":  # the folder of the fold holds both
        reads.remove("pseudo")
    writes = set(footprint.writes)
    assert names("deps") == reads
    assert names("outs", "metrics") == writes | ({"model"} if stage == "train" else set())


def _context() -> Context:
    from darkroom.params import file

    params = file.read_params(ROOT / "params.yaml")
    return Context(1, (0,), params.section("carvana"), Layout("carvana"))


@pytest.mark.parametrize("stage", FOOTPRINTS)
def test_an_edit_of_what_a_stage_reads_is_found_at_its_end_and_no_other(
    root: Path, stage: str
) -> None:
    before = (root / "params.yaml").read_text()
    for key in ("seed", "folds", *SECTIONS):
        lines = run(stage, partial(edit, root, key))
        assert bool(lines) == (key in keys_of(stage)), key
        assert all(line.startswith("params.yaml: ") and key in line for line in lines)
        (root / "params.yaml").write_text(before)
    entries = {
        name: [path for _, paths in places for path in paths]
        for name, places in artefacts(read()).items()
    }
    reads = {path for name in FOOTPRINTS[stage].reads for path in entries[name]}
    for path in {path for paths in entries.values() for path in paths}:
        file = path if path.is_file() else path / "file"
        lines = run(stage, partial(tiny.put, file, "after"))
        assert lines == ([str(file)] if path in reads else [])


def test_values_in_the_words_of_an_error(root: Path) -> None:
    assert run("train", partial(edit, root, "train")) == ["params.yaml: tiny.train.lr: 0.01 -> 0.5"]


def test_what_means_the_same_is_no_change(root: Path) -> None:
    file = root / "params.yaml"

    def rewrite() -> None:
        text = file.read_text()
        assert "lr: 0.01" in text
        file.write_text("# a comment\n" + text.replace("lr: 0.01", "lr: 1e-2"))

    assert run("train", rewrite) == []


def test_params_that_can_not_be_read_at_the_end(root: Path) -> None:
    [line] = run("train", lambda: (root / "params.yaml").write_text("tiny: ["))
    assert line.startswith("params.yaml: ")


@pytest.mark.parametrize("change", [lambda p: (p / "new").touch(), lambda p: (p / "file").unlink()])
def test_a_file_that_comes_or_goes_is_found(root: Path, change: Callable[[Path], None]) -> None:
    assert len(run("index", partial(change, Path("data/raw/tiny")))) == 1


def test_code_that_a_stage_imports_is_compared(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    for name in ("split.py", "train.py"):
        tiny.put(package / name, "x = 1")
    monkeypatch.setattr(stage_run, "PACKAGE", package)
    monkeypatch.setattr(stage_run, "import_closure", lambda _: [package / "split.py"])
    assert run("split", lambda: (package / "train.py").write_text("x = 2")) == []
    assert run("split", lambda: (package / "split.py").write_text("x = 2")) == ["package/split.py"]


def test_it_may_be_compared_before_the_end(root: Path) -> None:
    results: list[object] = []

    def meanwhile() -> None:
        results.append(context.require_unchanged())
        edit(root, "train")
        context.require_unchanged()

    with stage_run.stage_run("train", read) as context:
        with pytest.raises(ArtifactError, match="began with"):
            meanwhile()
        edit(root, "before")
    assert results == [None]


def test_readers_run_side_by_side(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stage_run.stage_run("train", read) as one, stage_run.stage_run("train", read) as other:
        assert one.name == other.name == tiny.NAME
    assert "waiting" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [
        ("split", "train", "data/start/tiny/split.csv"),
        ("train", "split", "data/start/tiny/split.csv"),
        ("evaluate", "submission", "reports/tiny/decision.json"),
        ("index", "preprocess", "data/index/tiny.csv"),
        ("preprocess", "preprocess", "data/processed/tiny"),
        ("audit", "index", "data/index/tiny.csv"),
    ],
)
def test_a_second_run_waits_with_a_line_and_goes_on(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    first: str,
    second: str,
    path: str,
) -> None:
    waits, ended = threading.Event(), threading.Event()
    print_waiting = stage_run._print_waiting

    def noted(path: Path, before: list[Path]) -> None:
        print_waiting(path, before)
        waits.set()

    def run_second() -> None:
        with stage_run.stage_run(second, read) as context:
            seeds.append(context.seed)
        ended.set()

    monkeypatch.setattr(stage_run, "_print_waiting", noted)
    seeds: list[int] = []
    with stage_run.stage_run(first, read):
        thread = threading.Thread(target=run_second)
        thread.start()
        assert waits.wait(20)
        assert not ended.wait(0.05)
        if "seed" not in keys_of(first):
            edit(root, "seed")  # read again after the wait
    thread.join(20)
    assert seeds == [7 if "seed" in keys_of(first) else 99]
    assert capsys.readouterr().err == f"waiting for another run that uses {path}\n"


def test_code_that_is_edited_while_a_run_waits_is_found_before_it_begins(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "package/split.py"
    tiny.put(module, "x = 1")
    monkeypatch.setattr(stage_run, "PACKAGE", module.parent)
    monkeypatch.setattr(stage_run, "import_closure", lambda _: [module])

    def wait(path: Path, waits: list[Path]) -> None:
        first.close()
        module.write_text("x = 2")
        waits.append(path)

    monkeypatch.setattr(stage_run, "_print_waiting", wait)
    first = ExitStack()
    first.enter_context(stage_run.stage_run("audit", read))
    with (
        pytest.raises(ArtifactError, match=r"package/split\.py"),
        stage_run.stage_run("split", read),
    ):
        pytest.fail("it began")


def test_what_a_killed_run_left_is_removed_under_the_lock(root: Path) -> None:
    left = [root / "data/raw/.tiny.part/a.zip", root / "data/raw/.tiny.old/a.zip"]
    for file in left:
        tiny.put(file, "half")
    assert run("train", lambda: None) == []
    assert all(file.exists() for file in left), "train does not lock the raw files"
    assert run("index", lambda: None) == []
    assert [path.name for path in (root / "data/raw").iterdir()] == ["tiny"]


def test_stages_of_other_competitions_do_not_wait(root: Path) -> None:
    locks = {lock for places in artefacts(read()).values() for lock, _ in places}
    assert all(re.fullmatch(r"\.darkroom/tiny\.\w+\.lock", str(lock)) for lock in locks)


def test_a_transfer_shares_the_model_that_it_reads(root: Path) -> None:
    model = Path("models/small/fold3")
    for source in (model, model.parent, model / "model.safetensors"):
        transfer = Transfer.model_validate({"to": "tiny", "from": str(source)})
        [(lock, [path])] = artefacts(replace(read(), transfer=transfer), fold=3)["source"]
        assert lock == Layout("small").lock("model3")
        assert path == (source if source.suffix else model)


def test_pseudo_labels_share_the_predictions_that_they_read(root: Path) -> None:
    labels = PseudoLabels.model_validate({"to": "tiny", "from": "data/predictions/one"})
    context = replace(read(), pseudo_labels=labels)
    [(path, entries)] = artefacts(context, fold=3)["pseudo_source"]
    assert path == Layout("one").lock("test3")
    assert entries == [Path("data/predictions/one/test/fold3.arrow")]


def test_no_two_stages_wait_for_each_other(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Path] = []
    lock = files.lock

    def noted(path: Path, **rest: Any) -> Any:
        taken.append(path)
        return lock(path, **rest)

    monkeypatch.setattr(files, "lock", noted)
    for stage in FOOTPRINTS:
        taken.clear()
        with stage_run.stage_run(stage, read):
            assert taken == sorted(taken), stage
