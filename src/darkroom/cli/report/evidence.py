"""What a page looks at besides the finished reports: the index, images, and kept predictions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from darkroom.cli.report.runs import Run
from darkroom.errors import ArtifactError
from darkroom.index.card import Card, with_names
from darkroom.index.table import Index, read_index
from darkroom.prediction.decision import Decision, read_decision
from darkroom.prediction.predictions import Predictions
from darkroom.prediction.scoring import LabelledPredictions, score_labels
from darkroom.stages._context import Context
from darkroom.stages._inputs import mask_classes, outputs_of, read_part, read_train
from darkroom.stages._predictions import read_predictions, require_of
from darkroom.store.store import Store
from darkroom.tasks.answers import Floats
from darkroom.tasks.metrics.specs import MetricSpec, get_metric

SAME = 1e-6  # of a score that is computed again


@dataclass(frozen=True)
class Evidence:
    """The validation images of a competition, and what its networks say of them.

    Attributes:
        context: The competition, or the blend.
        index: The whole index.
        train: Its training rows, numbered as the store's, with their `fold`.
        shards: The stored training images.
        predictions: By fold, of the images that the fold validates.
        decision: How they become answers.
    """

    context: Context
    index: Index
    train: pd.DataFrame
    shards: Store
    predictions: Mapping[int, Predictions]
    decision: Decision

    @property
    def card(self) -> Card:
        """What the targets are."""
        return self.index.card

    @property
    def spec(self) -> MetricSpec:
        """What the judge counts."""
        return get_metric(self.card.metric, self.card.task)

    def rows(self, fold: int) -> pd.DataFrame:
        """Return the rows that a fold validates, in the order of its predictions."""
        return self.train[self.train["fold"] == fold]

    def take(self, ids: Sequence[str]) -> dict[str, Floats]:
        """Return the predictions of some images, at the decision's temperature, by id."""
        predictions: dict[str, Floats] = {}
        for each in self.predictions.values():
            predictions |= each.take(ids)
        task = self.card.task
        return {
            key: self.decision.calibrated(task, one[None])[0] for key, one in predictions.items()
        }

    def answer_masks(
        self, probabilities: Floats
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """Return the answer (K, h, w) to probabilities of masks, uint8 of 0 and 1."""
        limits = self.decision.threshold_array(self.card.planes)
        return mask_classes(self.card).decode(probabilities, limits)


@dataclass(frozen=True)
class FoldScore:
    """The score of a fold's validation images.

    Attributes:
        fold: Its number.
        images: How many it validates.
        score: None where it is not defined.
        baseline: Of the best constant answer; None where it is not known.
    """

    fold: int
    images: int
    score: float | None
    baseline: float | None


def read_evidence(context: Context) -> Evidence:
    """Return the evidence, each file compared with the others as the stage `evaluate` does.

    Raises:
        ArtifactError: A file is absent or damaged, or of other parameters than params.yaml's.
    """
    paths = context.paths
    index = read_index(paths.index, paths.card)
    index = replace(index, card=with_names(index.card, paths.class_names))
    train, split = read_train(paths.inputs, index)
    shards, _ = read_part(paths.inputs, index, "train")
    ids = {fold: train["id"][train["fold"] == fold] for fold in context.validated_folds}
    if context.blend is None:
        predictions = read_predictions(context, "valid", index, ids, split_sha256=split)
    else:
        predictions = _read_blended(context, index, ids, split)
    labels = None if index.card.task == "multiclass" else outputs_of(index.card)
    decision = read_decision(paths.decision, context.name, index.card.task, labels)
    return Evidence(context, index, train, shards, predictions, decision)


def _read_blended(
    context: Context, index: Index, ids: Mapping[int, Collection[str]], split: str
) -> dict[int, Predictions]:
    predictions, fix = {}, "run `dvc repro blend`"
    for fold, expected in ids.items():
        stored = Predictions(context.paths.predictions("valid", fold), fix=fix)
        require_of(stored, "valid", index, expected, {"fold": fold, "split": split}, (fix, fix))
        predictions[fold] = stored
    return predictions


def score_folds(evidence: Evidence, run: Run) -> list[FoldScore]:
    """Return the score of each fold.

    Labels and values are scored anew; of masks it is the mean of what evaluate wrote of each image.

    Raises:
        ArtifactError: The scores that evaluate wrote are not of these predictions.
    """
    if evidence.card.task == "segmentation":
        return _mean_scores(evidence, run)
    _require_score(_score(evidence, list(evidence.predictions))[0], run, evidence)
    return [
        FoldScore(fold, len(evidence.rows(fold)), *_score(evidence, [fold]))
        for fold in evidence.predictions
    ]


def _score(evidence: Evidence, folds: Sequence[int]) -> tuple[float | None, float | None]:
    """Return the score of some folds in one, and the baseline's."""
    train, name = evidence.train, evidence.spec.name
    labelled = [
        LabelledPredictions(
            evidence.rows(fold),
            train[train["fold"] != fold],
            evidence.predictions[fold].batches(),
        )
        for fold in folds
    ]
    metrics = score_labels(labelled, evidence.card, decision=evidence.decision).metrics
    return metrics.get(name), metrics.get(f"baseline_{name}")


def _require_score(score: float | None, run: Run, evidence: Evidence) -> None:
    reported = run.metrics.get(evidence.spec.name)
    if score is None or reported is None or abs(score - reported) <= SAME * max(1, abs(score)):
        return
    raise ArtifactError(
        "these scores are not those of the predictions that lie there",
        file=evidence.context.paths.metrics,
        found=reported,
        expected=score,
        fix=f"run `dvc repro {evidence.context.paths.dvc_stage('evaluate')}`",
    )


def _mean_scores(evidence: Evidence, run: Run) -> list[FoldScore]:
    if run.scores is None:
        return []
    by_fold = run.scores.merge(evidence.train[["id", "fold"]], on="id").groupby("fold")["score"]
    counts, means = by_fold.count(), by_fold.mean()
    return [FoldScore(int(k), int(counts[k]), float(means[k]), None) for k in means.index]
