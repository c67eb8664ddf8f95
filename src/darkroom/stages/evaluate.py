"""evaluate: all folds' models and their validation images -> scores, the threshold, pictures."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from torch import nn
from tqdm import tqdm

from darkroom import files, index, review, scoring, sheets, split
from darkroom.archives import Archives
from darkroom.dataset import loader
from darkroom.evaluation import Evaluation
from darkroom.inference import Prediction, device_for, probabilities
from darkroom.layout import Layout
from darkroom.models import saved
from darkroom.scoring import Side
from darkroom.stages import setting
from darkroom.store import Store
from darkroom.tasks import Floats

SHOWN = 8  # images of each kind, best and worst, on the sheet


def run(name: str) -> None:
    """Score a competition's folds, out of fold, and choose the decision threshold."""
    here = setting.read(name)
    paths, choice = here.paths, here.section.evaluate

    known = index.read(paths.index, paths.card)
    train, test = _rows(known.rows, "train"), _rows(known.rows, "test")
    folds = setting.read_split(paths, name)
    split.check(train, folds)
    train["fold"] = train["id"].map(folds.set_index("id")["fold"])
    shards = Store(setting.require(paths.processed, "preprocess", name), "train")
    nets = {
        fold: saved.load(setting.require(paths.model(fold), "train", name))[0]
        for fold in here.folds
    }
    wanted = None if choice.threshold == "auto" else choice.threshold
    card, size = known.card, choice.batch_size

    sides = [_side(fold, net, train, shards, card.task, size) for fold, net in nets.items()]
    if card.task == "segmentation":
        archives = Archives(paths.raw, paths.spool)
        with _progress(name, sum(len(side.rows) for side in sides)) as bar:
            made = scoring.segmentation(
                sides, shards, archives, threshold=wanted, progress=bar.update
            )
    else:
        made = scoring.labels(sides, card, threshold=wanted)
    scores = {"validation": made.metrics}
    if card.targets and test[list(card.targets)].notna().all(axis=None):
        of_test = Store(paths.processed, "test")
        side = Side(test, train, _ask([*nets.values()], of_test, test, card.task, size))
        scores["test"] = scoring.labels([side], card, threshold=made.threshold).metrics

    shown = review.best_and_worst(made.rows, SHOWN)
    found: dict[str, Floats] = {}
    for fold, net in nets.items():
        rows = train[train["id"].isin(shown) & (train["fold"] == fold)]
        for ids, predicted, _ in _ask([net], shards, rows, card.task, size):
            found |= dict(zip(ids, predicted, strict=True))
    page = review.sheet(name, made, shown, found, train, card, shards)
    sheets.write_jpeg(paths.evaluation_sheet, page)
    _write(paths, made, scores)

    told = [f"{key} {value:.4f}" for key, value in made.metrics.items() if value is not None]
    print(f"{name}: {', '.join(told[:2])}, on {len(made.rows)} validation images")


def _rows(rows: pd.DataFrame, part: str) -> pd.DataFrame:
    """Return the rows of a part, numbered as the store numbers them."""
    return rows[rows["part"] == part].reset_index(drop=True)


def _side(
    fold: int, net: nn.Module, train: pd.DataFrame, shards: Store, task: str, batch_size: int
) -> Side:
    """Return the validation images of a fold, and what its network says of them."""
    validated = train[train["fold"] == fold]
    asked = _ask([net], shards, validated, task, batch_size)
    return Side(validated, train[train["fold"] != fold], asked)


def _ask(
    nets: Sequence[nn.Module], shards: Store, rows: pd.DataFrame, task: str, batch_size: int
) -> Iterator[Prediction]:
    batches = loader(shards, rows.index.tolist(), None, batch_size=batch_size, seed=None)
    return probabilities(nets, batches, task, device_for("auto"))


def _progress(name: str, total: int) -> "tqdm[Any]":
    return tqdm(total=total, desc=f"evaluate {name}", unit="img", file=sys.stderr)


def _write(paths: Layout, made: Evaluation, scores: Mapping[str, object]) -> None:
    """Write the scores, the decision, and the tables for plots."""
    with files.replacing_folder(paths.curves) as folder:
        for curve, table in made.curves.items():
            files.write(folder / f"{curve}.csv", table.to_csv(index=False, lineterminator="\n"))
    files.write(paths.scores, made.rows.to_csv(index=False, lineterminator="\n"))
    files.write(paths.metrics, json.dumps(scores, indent=2) + "\n")
    files.write(paths.decision, json.dumps({"threshold": made.threshold}) + "\n")
