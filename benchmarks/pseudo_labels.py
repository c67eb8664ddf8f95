"""Train on confident test predictions of a first network, on drawn imitations of competitions.

    python -m benchmarks.pseudo_labels [NAME ...] [--seeds 0 1] [--rows 60] [--confidence 0.9]

Of each contest's table of training images a few rows are kept: where there are many, a network
says little that the next one does not see for itself. Three sections train by two folds: the
first; a second that also learns its pseudo-labels; and a control with the second one's seed and
network and as many steps, without them. The judge scores all three submissions. Nothing is left out
of what is printed.
"""

import argparse
import contextlib
import copy
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from benchmarks.contests import DRAWN_OTHERWISE, RECIPE_OF, load_contest, parameters
from darkroom.cli import main as cli
from darkroom.tasks.metrics.specs import get_metric

NAMES = ("state_farm", "cifar10", "cactus", "seti", "protein_atlas", "severstal")
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


def keep_rows(table: Path, rows: int, seed: int) -> None:
    """Leave that many rows, drawn, in a table of training images, if it is a CSV file."""
    if table.suffix == ".csv" and table.is_file():
        frame = pd.read_csv(table, dtype=str, keep_default_na=False)
        kept = np.random.default_rng(seed).choice(len(frame), min(rows, len(frame)), replace=False)
        frame.iloc[np.sort(kept)].to_csv(table, index=False)


def project(contest: str, raw: Path, confidence: float) -> dict[str, Any]:
    """Return the content of params.yaml: the first section, and the second; the control follows."""
    params = parameters(RECIPE_OF[contest], raw, DRAWN_OTHERWISE.get(contest, {}))
    (name,) = params["competitions"]
    section = params.pop(name)
    section["split"] = {**section["split"], "folds": len(FOLDS)}
    if section["split"]["by"] == "official":
        section["split"]["by"] = "stratify"
    section["train"] |= {"epochs": 3 * section["train"]["epochs"], "augment": "flip"}
    params |= {FIRST: section, SECOND: copy.deepcopy(section)}
    params[SECOND]["train"]["seed"] = 1
    entry = {"to": SECOND, "from": f"data/predictions/{FIRST}", "confidence": confidence}
    return params | {
        "competitions": [FIRST, SECOND],
        "folds": list(FOLDS),
        "pseudo_labels": [entry],
    }


def run_trial(contest: str, seed: int, work: Path, rows: int, confidence: float) -> Trial:
    """Draw a contest into an empty folder, train all three sections there, and judge them."""
    drawn = load_contest(contest)
    drawn.draw(work, seed)
    params = project(contest, work / "raw", confidence)
    data = params[FIRST]["data"]
    table = data["train"]["table"]
    keep_rows(work / "raw" / (table if isinstance(table, str) else table["table"]), rows, seed)
    began = time.process_time()
    with contextlib.chdir(work):
        _write(params)
        _prepare(FIRST)
        _train(FIRST)
        _prepare(SECOND)
        for fold in FOLDS:
            _run("pseudo", SECOND, "--fold", str(fold))
        _train(SECOND)
        notes = [
            json.loads(
                Path(f"data/start/{SECOND}/fold{fold}/pseudo/pseudo_labels.json").read_text()
            )
            for fold in FOLDS
        ]
        counts = [
            json.loads(Path(f"data/start/{SECOND}/fold{fold}/fold.json").read_text())["train"]
            for fold in FOLDS
        ]
        more = sum(note["rows"] for note in notes) / sum(counts)
        params[CONTROL] = copy.deepcopy(params[SECOND])
        epochs = params[SECOND]["train"]["epochs"]
        params[CONTROL]["train"]["epochs"] = round(epochs * (1 + more))
        params["competitions"] = [*params["competitions"], CONTROL]
        _write(params)
        _prepare(CONTROL)
        _train(CONTROL)
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
        sum(note["rows"] / note["images"] for note in notes) / len(FOLDS),
        (epochs, params[CONTROL]["train"]["epochs"]),
        scores,
        sign * (scores[SECOND] - scores[CONTROL]),
        time.process_time() - began,
    )


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
    parser.add_argument("names", nargs="*", default=list(NAMES), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rows", type=int, default=60, help="of the training images to keep")
    parser.add_argument("--confidence", type=float, default=0.9)
    return parser.parse_args(list(arguments))


def main(arguments: Iterable[str]) -> int:
    """Print a line a trial, and the mean gain of each contest; return 0."""
    options = _options(arguments)
    torch.set_num_threads(1)
    for name in options.names:
        gains = []
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as work:
                choice = options.rows, options.confidence
                trial: Trial | str
                try:
                    trial = run_trial(name, seed, Path(work), *choice)
                except RuntimeError as error:  # nothing is confident, say
                    trial = " ".join(str(error).split())
            if isinstance(trial, str):
                print(f"{name:<14} seed {seed}  {trial}", flush=True)
            else:
                gains.append(trial.gain)
                print(line(trial), flush=True)
        if gains:
            print(f"{name}: mean gain {np.mean(gains):+.4f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
