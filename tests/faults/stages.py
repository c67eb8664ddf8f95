"""A finished tiny project, and one whose every result is another: where the attacks begin."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support import syscalls, tiny

ROOT = Path(__file__).parents[2]
STAGES = ("params", "fetch", "index", "split", "fold", "preprocess", "audit", "transfer", "train",
          "predict valid", "predict test", "evaluate", "submission")  # fmt: skip
BY_FOLD = ("fold", "transfer", "train", "predict")
GIVEN = "given.safetensors"  # what `transfer` takes the first weights from


def run_stage(*words: str, cores: int = 1) -> int:
    """Run a verb with networks on one thread, preprocessing on some cores; return its code."""
    import torch

    from darkroom.cli.main import main
    from darkroom.project import processes

    processes.cores = lambda: cores
    torch.set_num_threads(1)
    return main(words)


@dataclass(frozen=True)
class Finished:
    """Two projects with the same params.yaml, and all results.

    Attributes:
        new: The results that belong to params.yaml.
        old: The results of another seed and other raw files.
    """

    new: Path
    old: Path

    def begin(self, root: Path, stage: str, *, over: bool) -> Path:
        """Make a project in which a stage is to run, over its old results or from nothing."""
        shutil.copytree(self.new, root)
        for output in outputs(stage):
            _remove(root / output)
            if over:
                _copy(self.old / output, root / output)
        return root


def outputs(stage: str) -> list[str]:
    """Return the files and folders that a stage writes, as dvc.yaml lists them."""
    stage, _, part = stage.partition(" ")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    listed = [*stages[stage].get("outs", ()), *stages[stage].get("metrics", ())]
    paths = [path if isinstance(path, str) else next(iter(path)) for path in listed]
    names = {"${item.name}": tiny.NAME, "${item.pair.to}": tiny.NAME, "${item.fold}": "0"}
    names["${item.part}"] = part
    for variable, value in names.items():
        paths = [path.replace(variable, value) for path in paths]
    assert not any("$" in path for path in paths), paths
    return paths


def words_of(stage: str) -> list[str]:
    """Return the command line of a stage, without `darkroom`."""
    if stage == "params":
        return [stage]
    stage, *part = stage.split()
    fold = ["--fold", "0"] if stage in BY_FOLD else []
    return [stage, tiny.NAME, *fold, *(["--part", *part] if part else [])]


def results(root: Path, stage: str) -> tiny.Files:
    """Return the files of a stage's outputs, by path relative to the root."""
    found: tiny.Files = {}
    for output in outputs(stage):
        path = root / output
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                found[file.relative_to(root).as_posix()] = file.read_bytes()
    return found


def finish(folder: Path) -> Finished:
    """Make both projects, by running every stage of each."""
    sections = {"train": {"epochs": 2, "checkpoint_steps": 2, "ema": 0.9}}
    roots = [tiny.project(folder / name, "masks", **sections) for name in ("new", "old")]
    for root in roots:
        tiny.edit(root, lambda params: params.update(folds=[0]))
    table = roots[1] / "source/train.csv"
    tiny.put(table, "\n".join(table.read_text().splitlines()[:-2]) + "\n")  # a group less
    tiny.edit(roots[1], lambda params: params.update(seed=8))
    _run_all(roots[1])  # its model is what both begin from
    weights = (roots[1] / f"models/{tiny.NAME}/fold0/model.safetensors").read_bytes()
    for root in roots:
        tiny.put(root / GIVEN, weights)
        tiny.edit(root, _begin_from_given)
        _run_all(root)
    shutil.copy(roots[0] / "params.yaml", roots[1])
    return Finished(*roots)


def _begin_from_given(params: tiny.Params) -> None:
    # Their folds differ, but what is tried here is no score.
    params["transfers"] = [{"to": tiny.NAME, "from": GIVEN, "leakage": "allow"}]
    params[tiny.NAME]["model"]["weights"] = "given"


def _run_all(root: Path) -> None:
    has_transfer = GIVEN in (root / "params.yaml").read_text()
    for stage in STAGES:
        if stage != "transfer" or has_transfer:
            outcome = syscalls.run(run_stage, *words_of(stage), root=root, verdict=None)
            assert outcome.code == 0, f"{stage}: {outcome.words}"
    shutil.rmtree(root / "runs")


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _copy(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(path, to) if path.is_dir() else shutil.copy(path, to)
