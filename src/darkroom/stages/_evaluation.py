"""Score the predictions of validation images, decide, and write what evaluate writes."""

import shutil
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import pandas as pd
from tqdm import tqdm

from darkroom.images import sheets
from darkroom.images.objects import Cleanup
from darkroom.index.card import Card
from darkroom.index.table import Index
from darkroom.params.evaluate import Evaluate
from darkroom.params.section import is_own_metric
from darkroom.prediction import best_and_worst
from darkroom.prediction.decision import write_decision
from darkroom.prediction.label_scores import Evaluation, Metrics
from darkroom.prediction.masks.counts import MaskRules
from darkroom.prediction.masks.scores import score_masks
from darkroom.prediction.predictions import Predictions
from darkroom.prediction.scoring import LabelledPredictions, score_labels
from darkroom.prediction.tables import as_csv
from darkroom.prediction.thresholds import THRESHOLDS
from darkroom.project import files, fingerprint
from darkroom.project.journal import Journal
from darkroom.project.paths import Layout
from darkroom.project.score_files import write_scores
from darkroom.project.work import discard_others, half_done
from darkroom.raw.archives import Archives
from darkroom.stages._context import Context, require
from darkroom.stages._inputs import mask_classes, mask_form
from darkroom.stages._predictions import networks_of
from darkroom.store.store import Store
from darkroom.tasks.answers import Floats
from darkroom.tasks.metrics.own import own_digests
from darkroom.tasks.metrics.specs import get_metric

SHOWN = 8  # images of each kind, best and worst, on the page
CURVES = {
    "attributes": ["attribute"],
    "classes": ["class"],
    "confusion": ["actual", "predicted"],
    "scatter": ["target", "actual", "predicted"],
    "targets": ["target"],
    "threshold": ["threshold", "score"],
}
"""The tables of each evaluation, with the columns of one that its task has not: DVC must know the
names of all files, whatever the task, and draws no table without rows."""


@dataclass(frozen=True)
class Validation:
    """What validation images are scored against.

    Attributes:
        index: The whole index.
        shards: The training part of the store.
        train: The training rows, numbered as the store's, with their `fold`.
        split_sha256: Of the split.
    """

    index: Index
    shards: Store
    train: pd.DataFrame
    split_sha256: str

    @property
    def card(self) -> Card:
        """What the targets are."""
        return self.index.card

    def ids(self, folds: Iterable[int]) -> dict[int, Collection[str]]:
        """Return the ids of the images that each fold validates, in order: columns."""
        train = self.train
        return {fold: train["id"][train["fold"] == fold] for fold in folds}


def evaluate_predictions(
    context: Context,
    data: Validation,
    predictions: Mapping[int, Predictions],
    choice: Evaluate,
    out: Layout,
) -> Evaluation:
    """Write the scores, the decision, plots and a page; return the scores.

    Args:
        context: The competition that has the raw masks.
        data: Its training part.
        predictions: By fold, of the images that the fold validates.
        choice: How to decide.
        out: Whose reports are written.
    """
    evaluation = score_predictions(context, data, predictions, choice, out)
    networks = networks_of(predictions)
    decision = replace(evaluation.decision, **vars(cleanup_of(choice)), networks=networks)
    evaluation = replace(evaluation, decision=decision)
    leaked = sum(len(each.header.leaked) for each in predictions.values())
    marks: Metrics = {"leaked_images": leaked} if leaked else {}
    page = _page(evaluation, data, predictions, out.name)
    context.require_unchanged()
    sheets.write_jpeg(out.evaluation_sheet, page)
    _write(out, evaluation, evaluation.metrics | marks)
    defined = {key: value for key, value in evaluation.metrics.items() if value is not None}
    scores = [f"{key} {value:.4f}" for key, value in defined.items()]
    print(f"{out.name}: {', '.join(scores[:2])}, on {len(evaluation.per_image)} validation images")
    return evaluation


def score_predictions(
    context: Context,
    data: Validation,
    predictions: Mapping[int, Predictions],
    choice: Evaluate,
    out: Layout,
) -> Evaluation:
    """Return the scores of predictions, out of fold; see `evaluate_predictions`."""
    card = data.card
    if card.task == "segmentation":
        return _evaluate_masks(context, data, predictions, choice, out)
    if is_own_metric(card.metric):  # it may take its time
        print(f"scoring with {card.metric}", file=sys.stderr)
    labelled = [_labelled(data, fold, each) for fold, each in predictions.items()]
    return score_labels(labelled, card, threshold=choice.threshold)


def _evaluate_masks(
    context: Context,
    data: Validation,
    predictions: Mapping[int, Predictions],
    choice: Evaluate,
    out: Layout,
) -> Evaluation:
    """Return the scores of masks, from counts that stay: an edited threshold counts nothing anew.

    A killed run goes on from what it has counted.
    """
    card = data.card
    rules = mask_rules(card, choice)
    place = out.work(_counts_fingerprint(data, predictions, choice, rules), "evaluate")
    archives = Archives(require(context.paths.raw, "fetch", context.name), context.paths.unpacked)
    count = sum(each.header.rows for each in predictions.values())
    bar = tqdm(total=count, desc=f"evaluate {out.name}", unit="img", disable=None)
    with half_done(place, keep=True) as folder, bar:
        labelled = [
            # A stack is scored when its last slice is: half of one can't be gone on from.
            _labelled(data, fold, each, Journal(folder / f"fold{fold}.parts"))
            for fold, each in predictions.items()
        ]
        evaluation = score_masks(labelled, data.shards, archives, rules=rules, progress=bar.update)
    discard_others(place)
    shutil.rmtree(context.paths.unpacked, ignore_errors=True)
    return evaluation


def _counts_fingerprint(
    data: Validation, predictions: Mapping[int, Predictions], choice: Evaluate, rules: MaskRules
) -> str:
    """Return the fingerprint of what is counted of masks; that of all thresholds serves any."""
    levels = rules.levels.tolist()
    return fingerprint.stage_fingerprint(
        "evaluate",
        {
            "folds": list(predictions),
            "evaluate": choice.model_dump(exclude={"threshold"}),
            "levels": levels if len(levels) < len(THRESHOLDS) else None,
        },
        [each.path for each in predictions.values()],
        {"card": data.index.sha256, "split": data.split_sha256}
        | data.shards.digests
        | own_digests(data.card.metric),
    )


def cleanup_of(choice: Evaluate) -> Cleanup:
    """Return what is done to masks."""
    return Cleanup(choice.min_area, choice.fill_holes, choice.separate, choice.largest)


def mask_rules(card: Card, choice: Evaluate) -> MaskRules:
    """Return what is counted of masks."""
    return MaskRules(
        spec=get_metric(card.metric, card.task),
        names=card.targets,
        form=mask_form(card),
        classes=mask_classes(card),
        cleanup=cleanup_of(choice),
        size=card.runs.size,
        threshold=choice.threshold,
    )


def _labelled(
    data: Validation, fold: int, predictions: Predictions, journal: Journal | None = None
) -> LabelledPredictions:
    """Return the rows of a fold with their predictions: of those that are not in the journal."""
    train = data.train
    return LabelledPredictions(
        rows=train[train["fold"] == fold],
        training=train[train["fold"] != fold],
        predictions=predictions.batches(len(journal or ())),
        journal=journal,
    )


def _page(
    evaluation: Evaluation, data: Validation, predictions: Mapping[int, Predictions], name: str
) -> sheets.Pixels:
    """Return the page of the best and worst images."""
    ids = best_and_worst.select(evaluation.per_image, SHOWN)
    probabilities: dict[str, Floats] = {}
    for each in predictions.values():
        probabilities |= each.take(ids)
    return best_and_worst.draw_page(
        name, evaluation, ids, probabilities, data.train, data.card, data.shards
    )


def _write(out: Layout, evaluation: Evaluation, scores: Mapping[str, object]) -> None:
    """Write the scores, the decision, and the tables for plots."""
    with files.atomic_folder(out.curves) as folder:
        for name, columns in CURVES.items():
            curve = evaluation.curves.get(name)
            files.write(
                folder / f"{name}.csv",
                as_csv(pd.DataFrame(columns=columns, dtype=str) if curve is None else curve),
            )
    files.write(out.scores, as_csv(evaluation.per_image))
    write_scores(out.metrics, out.evaluation, scores, "validation")
    write_decision(out.decision, evaluation.decision)
