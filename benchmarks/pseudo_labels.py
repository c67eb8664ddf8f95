"""Train on confident test predictions of a first network, on drawn imitations of competitions.

    python -m benchmarks.pseudo_labels [NAME[:ROWS[:CONFIDENCE]] ...] [--seeds 0 1 2]

Pseudo-labels are for many test images and few labels. So a few training images are left, and the
test images of several drawings come together. Three sections train by two folds, each for as many
steps: the first; a second with its pseudo-labels; and a control with the seed of the second,
without them. The judge scores all three submissions. Nothing is left out of what is printed.
"""

import argparse
import contextlib
import copy
import io
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.contests import DRAWN_OTHERWISE, RECIPE_OF, load_contest, parameters
from benchmarks.drawing import draw_larger, keep_rows
from darkroom.cli import main as cli
from darkroom.tasks.metrics.specs import get_metric

# How many training images are left, and the least confidence: about half of the test images
# should be taken, and the first network be right of most of them.
CONTESTS: dict[str, tuple[int, float | None]] = {
    "seti": (120, 0.9),
    "pawpularity": (40, None),
}
DRAWINGS = 5  # whose test images come together
STEPS = 200  # of each training, about
FOLDS = (0, 1)
FIRST, SECOND, CONTROL = "first", "second", "control"


@dataclass(frozen=True)
class Trial:
    """What the judge said of one drawn contest.

    Attributes:
        contest: Its name.
        seed: Of the drawing.
        metric: The competition's.
        taken: The share of test images with pseudo-labels, the mean over folds.
        epochs: Of the second section, and of its control.
        scores: Of each section, by the judge.
        gain: Of the second over its control, so that more is better.
        seconds: Of CPU.
    """

    contest: str
    seed: int
    metric: str
    taken: float
    epochs: tuple[int, int]
    scores: dict[str, float]
    gain: float
    seconds: float


def project(
    contest: str, raw: Path, confidence: float | None, images: tuple[int, int] = (1, 1)
) -> dict[str, Any]:
    """Return the content of params.yaml.

    Args:
        contest: Its name.
        raw: The folder of raw files.
        confidence: Of the pseudo-labels.
        images: How many a fold learns from: with labels, and with pseudo-labels as well.
    """
    params = parameters(RECIPE_OF[contest], raw, DRAWN_OTHERWISE.get(contest, {}))
    (name,) = params["competitions"]
    section = params.pop(name)
    section["split"] = {**section["split"], "folds": len(FOLDS)}
    if section["split"]["by"] == "official":
        section["split"]["by"] = "stratify"
    section["train"] |= {"augment": "flip", "epochs": _epochs(images[0], section["train"])}
    params[FIRST] = section
    for later, count in ((CONTROL, images[0]), (SECOND, images[1])):
        params[later] = copy.deepcopy(section)
        params[later]["train"] |= {
            "seed": 1,
            "epochs": _epochs(count, section["train"]),
        }
    entry = {"to": SECOND, "from": f"data/predictions/{FIRST}"}
    return params | {
        "competitions": [FIRST, CONTROL, SECOND],
        "folds": list(FOLDS),
        "pseudo_labels": [entry | ({} if confidence is None else {"confidence": confidence})],
    }


def _epochs(images: int, train: Mapping[str, Any]) -> int:
    batches = math.ceil(images / int(train["batch_size"]))
    return max(1, round(STEPS / batches))


def run_trial(contest: str, seed: int, work: Path, rows: int, confidence: float | None) -> Trial:
    """Draw a contest into an empty folder, train all three sections there, and judge them."""
    drawn = load_contest(contest)
    raw = work / "raw"
    data = project(contest, raw, confidence)[FIRST]["data"]
    draw_larger(drawn, data, work, seed, DRAWINGS)
    keep_rows(raw, data["train"], rows, seed)
    began = time.process_time()
    with contextlib.chdir(work):
        _write(project(contest, raw, confidence))
        _prepare(FIRST)
        labelled = [_count(f"data/start/{FIRST}/fold{fold}/fold.json", "train") for fold in FOLDS]
        images = round(sum(labelled) / len(FOLDS))
        _write(project(contest, raw, confidence, (images, images)))
        _train(FIRST)
        _prepare(SECOND)
        for fold in FOLDS:
            _run("pseudo", SECOND, "--fold", str(fold))
        notes = [f"data/start/{SECOND}/fold{fold}/pseudo/pseudo_labels.json" for fold in FOLDS]
        more = sum(_count(note, "rows") for note in notes) / len(FOLDS)
        params = project(contest, raw, confidence, (images, images + round(more)))
        _write(params)
        _prepare(CONTROL)
        for later in (CONTROL, SECOND):
            _train(later)
        taken = more / _count(notes[0], "images")
    scores = {
        name: float(drawn.judge(work / f"submissions/{name}.csv.gz", work / "answers"))
        for name in (FIRST, SECOND, CONTROL)
    }
    metric = get_metric(data.get("metric") or "", data["task"])
    sign = 1 if metric.best == "max" else -1
    return Trial(
        contest,
        seed,
        metric.name,
        taken,
        (params[SECOND]["train"]["epochs"], params[CONTROL]["train"]["epochs"]),
        scores,
        sign * (scores[SECOND] - scores[CONTROL]),
        time.process_time() - began,
    )


def _count(path: str, key: str) -> int:
    """Return a number of a JSON file."""
    return int(json.loads(Path(path).read_text())[key])


def _write(params: dict[str, Any]) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def _prepare(name: str) -> None:
    for verb in ("fetch", "index", "split", "preprocess"):
        _run(verb, name)
    for fold in map(str, FOLDS):
        _run("fold", name, "--fold", fold)


def _train(name: str) -> None:
    for fold in map(str, FOLDS):
        _run("train", name, "--fold", fold)
        for part in ("valid", "test"):
            _run("predict", name, "--fold", fold, "--part", part)
    for verb in ("evaluate", "submission", "check"):
        _run(verb, name)


def _run(*arguments: str) -> None:
    """Run a verb; RuntimeError with its words if it fails."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = cli.main(arguments)
    if code:
        raise RuntimeError(f"{' '.join(arguments)}: {out.getvalue().strip()}")


def line(trial: Trial) -> str:
    """Return a trial as a line."""
    scores = "  ".join(f"{name} {score:.4f}" for name, score in trial.scores.items())
    return (
        f"{trial.contest:<14} seed {trial.seed}  {trial.metric:<14} {scores}  "
        f"gain {trial.gain:+.4f}  taken {trial.taken:.0%}  "
        f"epochs {trial.epochs[0]}, {trial.epochs[1]}  {trial.seconds:.0f} CPU s"
    )


def _options(arguments: Iterable[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", default=list(CONTESTS), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return parser.parse_args(list(arguments))


def _choice(text: str) -> tuple[str, int, float | None]:
    """Return a contest, its number of rows and confidence: "seti", "seti:60" or "seti:60:0.6"."""
    name, *own = text.split(":")
    rows, confidence = CONTESTS.get(name, (60, 0.9))
    rows = int(own[0]) if own else rows
    return name, rows, float(own[1]) if len(own) > 1 else confidence


def main(arguments: Iterable[str]) -> int:
    """Print a line a trial, and the mean gain of each contest; return 0."""
    options = _options(arguments)
    torch.set_num_threads(1)
    for name, rows, confidence in map(_choice, options.names):
        gains = []
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as work:
                trial: Trial | str
                try:
                    trial = run_trial(name, seed, Path(work), rows, confidence)
                except RuntimeError as error:  # nothing is confident, say
                    trial = " ".join(str(error).split())
            if isinstance(trial, str):
                print(f"{name:<14} seed {seed}  {trial}", flush=True)
            else:
                gains.append(trial.gain)
                print(line(trial), flush=True)
        if gains:
            won = sum(gain > 0 for gain in gains)
            print(f"{name}: mean gain {np.mean(gains):+.4f}, {won} of {len(gains)} won", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
