"""evaluate: all folds' models and their validation images -> scores, the threshold, pictures."""

import json
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd
from tqdm import tqdm

from darkroom.images import sheets
from darkroom.images.sheets import Pixels
from darkroom.index import split
from darkroom.index import table as index
from darkroom.index.table import Card
from darkroom.prediction import best_and_worst, decision, scoring
from darkroom.prediction.metrics import Evaluation
from darkroom.prediction.predict import How
from darkroom.prediction.scoring import Side
from darkroom.project import files
from darkroom.project.files import file_sha256
from darkroom.project.paths import Layout
from darkroom.raw.archives import Archives
from darkroom.stages import _context
from darkroom.stages import _context as setting
from darkroom.stages import _folds as trained
from darkroom.stages._context import Setting
from darkroom.stages._folds import Nets
from darkroom.store.store import Store
from darkroom.tasks.table import Floats

BAR: dict[str, Any] = {"unit": "img", "file": sys.stderr, "disable": None}
SHOWN = 8  # images of each kind, best and worst, on the sheet


def run(name: str) -> None:
    """Score a competition's folds, out of fold, and choose the decision threshold."""
    here = setting.read(name)
    paths, choice = here.paths, here.section.evaluate

    known = index.read(paths.index, paths.card)
    shards, train = _context.of(paths, known, "train")
    folds = setting.read_split(paths, name)
    split.check(train, folds)
    train["fold"] = train["id"].map(folds.set_index("id")["fold"])
    card = known.card
    how = decision.how(choice)
    nets = trained.load(here, card, shards, choice, how, split_sha256=file_sha256(paths.split))
    wanted = None if choice.threshold == "auto" else choice.threshold

    sides = [_side(fold, nets, train, shards) for fold in here.folds]
    if card.task == "segmentation":
        archives = Archives(setting.require(paths.raw, "fetch", name), paths.spool)
        with tqdm(
            total=train["fold"].isin(here.folds).sum(), desc=f"evaluate {name}", **BAR
        ) as bar:
            made = scoring.segmentation(
                sides, shards, archives, threshold=wanted, progress=bar.update
            )
    else:
        made = scoring.labels(sides, card, threshold=wanted)
    scores = {"validation": made.metrics}
    tests, test = _context.of(paths, known, "test")
    if card.targets and test[list(card.targets)].notna().all(axis=None):
        side = Side(test, train, nets.ask(here.folds, tests, test))
        scores["test"] = scoring.labels([side], card, threshold=made.threshold).metrics

    sheets.write_jpeg(paths.evaluation_sheet, _sheet(here, made, nets, train, shards, card))
    _write(paths, made, scores, how)
    shutil.rmtree(paths.spool, ignore_errors=True)
    told = [f"{key} {value:.4f}" for key, value in made.metrics.items() if value is not None]
    print(f"{name}: {', '.join(told[:2])}, on {len(made.rows)} validation images")


def _sheet(
    here: Setting, made: Evaluation, nets: Nets, train: pd.DataFrame, shards: Store, card: Card
) -> Pixels:
    """Return the page of the best and worst, asking the networks once more about these few."""
    shown = best_and_worst.best_and_worst(made.rows, SHOWN)
    found: dict[str, Floats] = {}
    for fold in here.folds:
        rows = train[train["id"].isin(shown) & (train["fold"] == fold)]
        for ids, predicted, _ in nets.ask([fold], shards, rows):
            found |= dict(zip(ids, predicted, strict=True))
    return best_and_worst.sheet(here.paths.name, made, shown, found, train, card, shards)


def _side(fold: int, nets: Nets, train: pd.DataFrame, shards: Store) -> Side:
    """Return the validation images of a fold, and what its network says of them."""
    validated = train[train["fold"] == fold]
    learned = train[train["fold"] != fold]
    return Side(validated, learned, nets.ask([fold], shards, validated))


def _write(paths: Layout, made: Evaluation, scores: Mapping[str, object], how: How) -> None:
    """Write the scores, the decision, and the tables for plots."""
    with files.replacing_folder(paths.curves) as folder:
        for curve, table in made.curves.items():
            files.write(folder / f"{curve}.csv", table.to_csv(index=False, lineterminator="\n"))
    files.write(paths.scores, made.rows.to_csv(index=False, lineterminator="\n"))
    files.write(paths.metrics, json.dumps(scores, indent=2) + "\n")
    decision.write(paths.decision, made.threshold, how)
