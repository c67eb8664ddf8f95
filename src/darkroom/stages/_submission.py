"""Write a submission from kept predictions and a decision, and score it where that is possible."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd
from tqdm import tqdm

from darkroom.images.geometry import Fit
from darkroom.index.table import Index
from darkroom.prediction.decision import Decision, averaged_as_decided
from darkroom.prediction.predictions import Prediction, Predictions
from darkroom.prediction.scoring import LabelledPredictions, score_labels
from darkroom.project.paths import Layout
from darkroom.project.score_files import write_scores
from darkroom.stages._inputs import has_answers
from darkroom.submission.cells import write_rows
from darkroom.submission.writer import Writer


def write_submission(
    out: Layout,
    index: Index,
    decision: Decision,
    fit: Fit,
    sources: Sequence[Iterable[Prediction]],
    facts: Mapping[str, object],
    require_unchanged: Callable[[], object],
) -> None:
    """Write the submission; it appears under its name once complete.

    Args:
        out: Whose submission it is.
        index: Of the competition.
        decision: How probabilities become answers.
        fit: How the images were fitted to the stored size.
        sources: Of each fold, the predictions of the test images, in their order.
        facts: For the JSON beside it.
        require_unchanged: Called before the file replaces an older one; see `Context`.
    """
    card, name = index.card, out.name
    count = int((index.rows["part"] == "test").sum())
    bar = tqdm(total=count, desc=f"submission {name}", unit="img", file=sys.stderr, disable=None)
    with bar, Writer(out.submission, card.header, facts=facts) as writer:
        predictions = averaged_as_decided(sources, card.task, decision)
        changed = write_rows(writer, predictions, card, decision, fit, bar.update)
        require_unchanged()
    if changed:
        print(f"{name}: {changed} numbers below 0 are written as 0, for {card.metric}")
    images = "" if writer.rows == writer.images else f" of {writer.images} images"
    print(f"{name}: {writer.rows} rows{images} in {out.submission}")


def write_test_scores(
    out: Layout, index: Index, decision: Decision, sources: Sequence[Predictions]
) -> None:
    """Write the scores of the test images; of those whose answers are unknown `{}`."""
    train, test = (index.rows[index.rows["part"] == part] for part in ("train", "test"))
    scores: dict[str, float | None] = {}
    if has_answers(index.card, test):
        leaked = sorted({image_id for each in sources for image_id in each.header.leaked})
        scores = score_test(index, train, test, decision, sources, leaked)
    write_scores(out.test_metrics, out.test_evaluation, scores)


def score_test(
    index: Index,
    train: pd.DataFrame,
    test: pd.DataFrame,
    decision: Decision,
    sources: Sequence[Iterable[Prediction]],
    leaked: Sequence[str],
) -> dict[str, float | None]:
    """Return the scores of the test images, whose answers are known.

    Args:
        index: Of the competition.
        train: Its training rows, for baselines.
        test: Its test rows.
        decision: How probabilities become answers.
        sources: Of each fold, the predictions of the test images, in their order.
        leaked: The ids of those that a network had learned before its own training.
    """
    task = index.card.task
    labelled = LabelledPredictions(test, train, averaged_as_decided(sources, task, decision))
    decided = replace(decision, temperature=1.0)  # they have it
    scored = score_labels([labelled], index.card, decision=decided)
    return scored.metrics | ({"leaked_images": len(leaked)} if leaked else {})
