"""evaluate: all folds and their validation images -> scores, the decision, plots, a page."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from darkroom.images import sheets
from darkroom.images.objects import Cleanup
from darkroom.images.sheets import Pixels
from darkroom.index.card import Card
from darkroom.index.split import check_split
from darkroom.index.table import read_index
from darkroom.params.evaluate import Evaluate
from darkroom.params.section import is_own_metric
from darkroom.prediction import best_and_worst
from darkroom.prediction.decision import Decision, write_decision
from darkroom.prediction.label_scores import Evaluation
from darkroom.prediction.masks.counts import MaskRules
from darkroom.prediction.masks.scores import score_masks
from darkroom.prediction.networks.tiles import Tiles
from darkroom.prediction.networks.tta import TTA
from darkroom.prediction.scoring import LabelledPredictions, score_labels
from darkroom.prediction.tables import as_csv
from darkroom.prediction.thresholds import THRESHOLDS
from darkroom.project import files, fingerprint
from darkroom.project.journal import Journal
from darkroom.project.paths import Layout
from darkroom.project.work import discard_others, half_done
from darkroom.raw.archives import Archives
from darkroom.stages import _folds, _leaks
from darkroom.stages._context import Context, require
from darkroom.stages._folds import TrainedFolds
from darkroom.stages._inputs import mask_classes, mask_form, read_part
from darkroom.stages._split import read_split
from darkroom.store.store import Store
from darkroom.tasks.answers import Floats
from darkroom.tasks.metrics.own import own_digests
from darkroom.tasks.metrics.specs import get_metric

SHOWN = 8  # images of each kind, best and worst, on the page


def run(context: Context) -> None:
    """Score a competition's folds, out of fold, and choose the decision threshold."""
    name, paths = context.name, context.paths
    choice: Evaluate = context.section.evaluate

    index = read_index(paths.index, paths.card)
    card = index.card
    shards, train = read_part(paths, index, "train")
    folds, split_sha256 = read_split(paths)
    check_split(train, folds)
    train["fold"] = train["id"].map(folds.set_index("id")["fold"])
    tta = _tta(choice)
    trained = _folds.load(context, card, shards, choice, tta, split_sha256=split_sha256)
    leaked = _leaked(context, train, train)
    test_shards, test = read_part(paths, index, "test")
    is_labelled = card.task != "segmentation" and bool(card.targets)
    has_answers = is_labelled and test[list(card.targets)].notna().all(axis=None)
    leaked_test = _leaked(context, test, train) if has_answers else {}
    digests = {"card": index.sha256, "split": split_sha256} | shards.digests | test_shards.digests
    levels = _mask_rules(card, choice).levels.tolist() if card.task == "segmentation" else []
    digest = fingerprint.stage_fingerprint(
        "evaluate",
        {
            "folds": context.folds,
            "evaluate": choice.model_dump(exclude={"accelerator", "threshold"}),
            # What is counted at all thresholds serves any.
            "levels": levels if len(levels) < len(THRESHOLDS) else None,
        },
        [*map(paths.model, context.folds)],
        digests | own_digests(card.metric),
    )
    place = trained.work_folder(context, "evaluate", digest)
    with half_done(place) as folder:
        evaluation = _score(context, card, trained, train, shards, folder)
        metrics = {"validation": evaluation.metrics | leaked}
        if has_answers:
            journal = Journal(folder / "test.parts")
            labelled = _labelled(context.folds, trained, test, train, test_shards, journal)
            scored = score_labels([labelled], card, decision=evaluation.decision)
            metrics["test"] = {**scored.metrics, **leaked_test}
        page = _page(context, evaluation, trained, train, shards, card)
        context.require_unchanged()
        sheets.write_jpeg(paths.evaluation_sheet, page)
        cleanup = vars(_cleanup(choice))
        _write(paths, evaluation, metrics, replace(evaluation.decision, tta=tta, **cleanup))
    discard_others(place)
    shutil.rmtree(paths.unpacked, ignore_errors=True)
    defined = {key: value for key, value in evaluation.metrics.items() if value is not None}
    scores = [f"{key} {value:.4f}" for key, value in defined.items()]
    print(f"{name}: {', '.join(scores[:2])}, on {len(evaluation.per_image)} validation images")


def _tta(choice: Evaluate) -> TTA:
    """Return the test-time augmentation of the evaluate section."""
    tiles = choice.tiles
    return TTA(
        transforms=tuple(choice.tta),
        scales=tuple(choice.scales),
        tiles=None if tiles is None else Tiles(tiles.height, tiles.width, tiles.overlap),
    )


def _cleanup(choice: Evaluate) -> Cleanup:
    """Return what is done to masks."""
    return Cleanup(choice.min_area, choice.fill_holes, choice.separate, choice.largest)


def _score(
    context: Context,
    card: Card,
    trained: TrainedFolds,
    train: pd.DataFrame,
    shards: Store,
    folder: Path,
) -> Evaluation:
    """Return the scores of all folds, each image predicted by the network that did not learn it.

    What an earlier run has scored is read from the folder of half-done work.
    """
    name, paths = context.name, context.paths
    choice: Evaluate = context.section.evaluate
    out_of_fold = []
    for fold in context.folds:
        validation, training = train[train["fold"] == fold], train[train["fold"] != fold]
        journal = Journal(folder / f"fold{fold}.parts")
        out_of_fold.append(_labelled([fold], trained, validation, training, shards, journal))
    if is_own_metric(card.metric):  # it may take its time
        print(f"scoring with {card.metric}", file=sys.stderr)
    if card.task != "segmentation":
        return score_labels(out_of_fold, card, threshold=choice.threshold)
    archives = Archives(require(paths.raw, "fetch", name), paths.unpacked)
    count = train["fold"].isin(context.folds).sum()
    with tqdm(total=count, desc=f"evaluate {name}", unit="img", disable=None) as bar:
        return score_masks(
            out_of_fold,
            shards,
            archives,
            rules=_mask_rules(card, choice),
            progress=bar.update,
        )


def _mask_rules(card: Card, choice: Evaluate) -> MaskRules:
    """Return what is counted of masks."""
    return MaskRules(
        spec=get_metric(card.metric, card.task),
        names=card.targets,
        form=mask_form(card),
        classes=mask_classes(card),
        cleanup=_cleanup(choice),
        size=card.runs.size,
        threshold=choice.threshold,
    )


def _labelled(
    folds: Sequence[int],
    trained: TrainedFolds,
    rows: pd.DataFrame,
    training: pd.DataFrame,
    shards: Store,
    journal: Journal,
) -> LabelledPredictions:
    """Return rows and the predictions of those that are not in the journal."""
    done = min(len(journal) * trained.batch_size, len(rows))
    if done:
        print(f"going on after {done} of {len(rows)} images", file=sys.stderr)
    rest = rows.iloc[done:]
    predictions = trained.predict(folds, shards, rest) if len(rest) else iter(())
    return LabelledPredictions(rows, training, predictions, journal)


def _leaked(context: Context, scored: pd.DataFrame, train: pd.DataFrame) -> dict[str, float]:
    """Return, if there are some, how many images the networks had learned before their training.

    Args:
        context: The competition.
        scored: The training images, each scored by its fold; or the test images, scored by all.
        train: The training images, with their folds.
    """
    ids: set[str] = set()
    for fold in context.folds:
        rows = scored[scored["fold"] == fold] if "fold" in scored else scored
        ids |= set(_leaks.leaked_ids(context.paths, fold, rows, train[train["fold"] != fold]))
    return {"leaked_images": len(ids)} if ids else {}


def _page(
    context: Context,
    evaluation: Evaluation,
    trained: TrainedFolds,
    train: pd.DataFrame,
    shards: Store,
    card: Card,
) -> Pixels:
    """Return the page of the best and worst images, which are predicted once more for it."""
    shown = best_and_worst.select(evaluation.per_image, SHOWN)
    predictions: dict[str, Floats] = {}
    for fold in context.folds:
        rows = train[train["id"].isin(shown) & (train["fold"] == fold)]
        for batch in trained.predict([fold], shards, rows):
            predictions |= dict(zip(batch.ids, batch.probabilities, strict=True))
    return best_and_worst.draw_page(
        context.paths.name, evaluation, shown, predictions, train, card, shards
    )


def _write(
    paths: Layout, evaluation: Evaluation, metrics: Mapping[str, object], decision: Decision
) -> None:
    """Write the scores, the decision, and the tables for plots."""
    with files.atomic_folder(paths.curves) as folder:
        for name, curve in evaluation.curves.items():
            files.write(folder / f"{name}.csv", as_csv(curve))
    files.write(paths.scores, as_csv(evaluation.per_image))
    files.write(paths.metrics, json.dumps(metrics, indent=2) + "\n")
    write_decision(paths.decision, decision)
