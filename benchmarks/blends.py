"""Blend three small networks on drawn imitations of competitions, one of each kind of target.

    python -m benchmarks.blends [NAME ...] [--seeds 0] [--work FOLDER]

Each network is a section of its own, trained by three folds. Every method of blending that is for
the task runs on the same predictions. Of each member and blend it prints the score out of fold and
what the judge says of its submission; the members, the methods and the contests stand in tables
here, and none is left out of what is printed.
"""

import argparse
import contextlib
import copy
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.contests import DRAWN_OTHERWISE, RECIPE_OF, load_contest, parameters
from benchmarks.drawing import draw_larger
from darkroom.cli import main as cli
from darkroom.params.rules.lists import method_fault

# Of each kind of target, one that a single network leaves something to do (docs/competitions.md):
# of others, cifar10, protein_atlas and siim_pneumothorax among them, a network reaches 0.99 alone.
NAMES = ("state_farm", "rsna_haemorrhage", "seti", "pawpularity", "severstal")
DRAWINGS = 5  # whose test images come together, where they can
NOT_LARGER = ("state_farm", "protein_atlas")  # the test images lie in an archive
# Sheets of 128 x 32 px, which a square would squeeze.
_STORED = {"severstal": {"height": 32, "width": 128}}
FOLDS = (0, 1, 2)
METHODS = ("greedy", "convex", "mean", "rank", "stack")

Section = Mapping[str, Mapping[str, Any]]
# Of like strength: of about one size, and trained for as long.
_LABELS: tuple[Section, ...] = (
    {
        "model": {"name": "small_cnn", "width": 20, "depth": 3},
        "train": {"lr": 0.01, "augment": "flip"},
    },
    {
        "model": {"name": "small_cnn", "width": 24, "depth": 3},
        "train": {"lr": 0.01, "augment": "flip", "seed": 1},
    },
    {
        "model": {"name": "small_cnn", "width": 28, "depth": 3},
        "train": {"lr": 0.01, "augment": "flip", "seed": 2},
    },
)
_MASKS: tuple[Section, ...] = (
    {"model": {"name": "unet", "width": 8, "depth": 3}, "train": {"lr": 0.01}},
    {
        "model": {"name": "unet", "width": 8, "depth": 3, "bilinear": True},
        "train": {"lr": 0.01, "augment": "flip", "seed": 1},
    },
    {
        "model": {"name": "unet", "width": 12, "depth": 3},
        "train": {"lr": 0.01, "augment": "flip", "seed": 2},
    },
)
_EPOCHS, _EPOCHS_OF_MASKS = 20, 14  # until each member has learned what it can


@dataclass(frozen=True)
class Score:
    """Of a member or a blend.

    Attributes:
        name: "network 1", or a method.
        local: Out of fold.
        judged: By the judge, on the hidden answers.
    """

    name: str
    local: float
    judged: float


@dataclass(frozen=True)
class Trial:
    """One drawn contest.

    Attributes:
        contest: Its name.
        seed: Of the drawing.
        task: What is predicted.
        metric: The judge's.
        best: Whether "max" or "min" is better.
        members: The networks.
        blends: The blends of them all.
        seconds: Of CPU time, all trainings included.
    """

    contest: str
    seed: int
    task: str
    metric: str
    best: str
    members: tuple[Score, ...]
    blends: tuple[Score, ...]
    seconds: float

    def gains(self, blend: Score) -> tuple[float, float]:
        """Return how much a blend is better than the member that is best out of fold.

        Out of fold, and by the judge: the member that one would have submitted.
        """
        sign = 1 if self.best == "max" else -1
        first = max(self.members, key=lambda member: sign * member.local)
        return sign * (blend.local - first.local), sign * (blend.judged - first.judged)


def project(contest: str, raw: Path) -> dict[str, Any]:
    """Return the content of params.yaml: a section a network, and a blend a method."""
    params = parameters(RECIPE_OF[contest], raw, DRAWN_OTHERWISE.get(contest, {}))
    (first,) = params["competitions"]
    section = params.pop(first)
    section["split"] = {**section["split"], "folds": len(FOLDS)}
    if section["split"]["by"] == "official":
        section["split"]["by"] = "stratify"
    section["preprocess"] |= _STORED.get(contest, {})
    task = section["data"]["task"]
    # No epoch is chosen by the images that scores are of.
    section["train"] |= {
        "epochs": _EPOCHS_OF_MASKS if task == "segmentation" else _EPOCHS,
        "select": "last",
        "patience": None,
    }
    names = []
    for number, own in enumerate(_MASKS if task == "segmentation" else _LABELS, start=1):
        names.append(f"network_{number}")
        params[names[-1]] = copy.deepcopy(section) | {
            "model": dict(own["model"]),
            "train": section["train"] | own["train"],
        }
    metric = section["data"].get("metric")
    methods = [method for method in METHODS if not method_fault(method, task, metric, 0.5)]
    blends = [{"name": each, "members": names, "method": each} for each in methods]
    return params | {"competitions": names, "folds": list(FOLDS), "blends": blends}


def _run(work: Path, *arguments: str) -> None:
    """Run a verb; RuntimeError with its words if it fails."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = cli.main(arguments)
    with (work / "log.txt").open("a") as log:
        log.write(f"--- {' '.join(arguments)}\n{out.getvalue()}")
    if code:
        raise RuntimeError(f"{' '.join(arguments)}: {out.getvalue().strip()}")


def run_trial(contest: str, seed: int, work: Path) -> Trial:
    """Draw a contest into an empty folder, train and blend there, and judge all submissions."""
    drawn = load_contest(contest)
    params = project(contest, work / "raw")
    data = params["network_1"]["data"]
    draw_larger(drawn, data, work, seed, 1 if contest in NOT_LARGER else DRAWINGS)
    (work / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    began = time.process_time()
    with contextlib.chdir(work):
        for name in params["competitions"]:
            for verb in ("fetch", "index", "split", "preprocess"):
                _run(work, verb, name)
            for fold in map(str, FOLDS):
                _run(work, "train", name, "--fold", fold)
                for part in ("valid", "test"):
                    _run(work, "predict", name, "--fold", fold, "--part", part)
            for verb in ("evaluate", "submission", "check"):
                _run(work, verb, name)
        for blend in params["blends"]:
            for verb in ("blend", "check"):
                _run(work, verb, blend["name"])
    seconds = time.process_time() - began
    reports = {
        each["name"]: json.loads((work / f"reports/{each['name']}/blend.json").read_text())
        for each in params["blends"]
    }

    def judged(name: str) -> float:
        return float(drawn.judge(work / f"submissions/{name}.csv.gz", work / "answers"))

    report = next(iter(reports.values()))
    members = [
        Score(name, values["score"], judged(name)) for name, values in report["members"].items()
    ]
    blends = [Score(name, each["score"], judged(name)) for name, each in reports.items()]
    task = params[members[0].name]["data"]["task"]
    return Trial(
        contest,
        seed,
        task,
        report["metric"],
        drawn.better,
        tuple(members),
        tuple(blends),
        seconds,
    )


def table(trials: Iterable[Trial]) -> list[str]:
    """Return the lines of a Markdown table: of each contest its members and blends.

    A gain is positive where a blend is better than the member that is best out of fold.
    """
    lines = [
        "| contest | judged by | predictions | out of fold | gain | judge | gain |",
        "|---|---|---|---|---|---|---|",
    ]
    for trial in trials:
        head = f"| {trial.contest}, seed {trial.seed} | {trial.metric} "
        for member in trial.members:
            lines.append(f"{head}| {member.name} | {member.local:.4f} | | {member.judged:.4f} | |")
        for blend in trial.blends:
            local, judged = trial.gains(blend)
            lines.append(
                f"{head}| {blend.name} | {blend.local:.4f} | {local:+.4f} "
                f"| {blend.judged:.4f} | {judged:+.4f} |"
            )
    return lines


def summary(trials: Sequence[Trial]) -> list[str]:
    """Return a line a method: how often it was better than the best member, and by which score."""
    lines = []
    for method in METHODS:
        gains = [
            trial.gains(blend) for trial in trials for blend in trial.blends if blend.name == method
        ]
        local, judged = (sum(gain[place] > 0 for gain in gains) for place in (0, 1))
        if gains:
            lines.append(
                f"{method}: better out of fold in {local} of {len(gains)}, "
                f"by the judge in {judged} of {len(gains)}"
            )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Try contests and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="of contests (one of each kind of target)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--work", type=Path, help="where to keep the projects (nowhere)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    trials: list[Trial] = []
    for name in options.names or NAMES:
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                work = options.work.resolve() / f"{name}-{seed}" if options.work else Path(folder)
                work.mkdir(parents=True, exist_ok=True)
                trials.append(run_trial(name, seed, work))
            print(f"{name}, seed {seed}: {trials[-1].seconds:.0f} s of CPU", flush=True)
    print("\n".join(["", *table(trials), "", *summary(trials)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
