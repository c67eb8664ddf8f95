"""Fit how members are blended, never on an image that is then predicted for a score.

The mix of fold k is fitted to the other folds. It makes the validation and the test predictions of
fold k, so that the blend's out-of-fold score, and the thresholds chosen on it, saw no answer twice.
Where there is a single fold, each half of its images has the mix of the other half, and the test
images that of both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from darkroom.prediction.blending.labels import LabelSample
from darkroom.prediction.blending.masks import MaskSample
from darkroom.prediction.blending.mixes import Mix, Scale, WeightedMean, rank_mean
from darkroom.prediction.blending.search import Score, bagged_weights, convex_weights
from darkroom.prediction.blending.stacking import fit_stack
from darkroom.prediction.thresholds import Floats

Rows = np.ndarray
Fit = Callable[[Rows], Mix]
"""The positions of some images of a sample to the mix that is fitted to them."""


@dataclass(frozen=True)
class Blend:
    """How the predictions of each fold are made from those of the members.

    Attributes:
        validation: By fold: one mix, or of a single fold one a half of its images. A fold that is
            not there has no answers: it is mixed as `whole` says.
        test: By fold.
        whole: The mix that is fitted to all images: of folds that validate nothing, and in reports.
        places: Of a single fold, the number of each image that was sampled, ascending. They belong
            to the halves in turn, and others to that of the one before them.
    """

    validation: dict[int, tuple[Mix, ...]]
    test: dict[int, Mix]
    whole: Mix
    places: Rows | None = None

    def mix_validation(self, fold: int, members: Sequence[Floats], start: int) -> Floats:
        """Return the mixed predictions of a batch whose first image is number `start` of a fold."""
        mixes = self.validation.get(fold, (self.whole,))
        if self.places is None:
            return mixes[0](members)
        mixed = np.empty_like(members[0])
        numbers = np.arange(len(mixed)) + start
        parts = (np.searchsorted(self.places, numbers, side="right") - 1) % 2
        for part, mix in enumerate(mixes):
            rows = parts == part
            mixed[rows] = mix([member[rows] for member in members])
        return mixed

    def mix_test(self, fold: int | str, members: Sequence[Floats]) -> Floats:
        """Return the mixed predictions of a batch of test images by the networks of a fold."""
        return self.test_mix(fold)(members)

    def test_mix(self, fold: int | str) -> Mix:
        """Return how test predictions by the networks of a fold are mixed."""
        return self.test.get(fold, self.whole) if isinstance(fold, int) else self.whole


class Sample(Protocol):
    """Out-of-fold predictions of the members, with their truth: of labels, or of masks."""

    @property
    def folds(self) -> Rows:
        """The fold (n,) that validates each image."""

    @property
    def members(self) -> tuple[Any, ...]:
        """The predictions of each member."""

    @property
    def scale(self) -> Scale:
        """Of the means that are tried."""

    def scorer(self, rows: Rows) -> Score:
        """Return the score of weights on some images."""


def fit_blend(method: str, sample: LabelSample | MaskSample, places: Rows, seed: int) -> Blend:
    """Return the blend of a sample's members.

    Args:
        method: "greedy", "convex" or "mean"; of labels, classes and values "stack" too, and of
            labels "rank".
        sample: Out-of-fold predictions of the members.
        places: The number (n,) that each image has in its fold, from 0 on.
        seed: Of what is drawn.
    """
    if isinstance(sample, LabelSample) and method == "rank":
        return _rank(sample)
    if isinstance(sample, LabelSample) and method == "stack":
        return _cross_fit(partial(_stack, sample), sample.folds, places)
    return _cross_fit(partial(_weigh, method, sample, seed), sample.folds, places)


def _stack(sample: LabelSample, rows: Rows) -> Mix:
    return fit_stack(sample.task, [member[rows] for member in sample.members], sample.truth[rows])


def _weigh(method: str, sample: Sample, seed: int, rows: Rows) -> Mix:
    count = len(sample.members)
    if method == "greedy":
        weights = bagged_weights(lambda some: sample.scorer(rows[some]), len(rows), count, seed)
    elif method == "convex":
        weights = convex_weights(sample.scorer(rows), count)
    else:
        weights = np.full(count, 1 / count)
    return WeightedMean(tuple(weights.tolist()), sample.scale)


def _rank(sample: LabelSample) -> Blend:
    def ranks(rows: Rows) -> Mix:
        return rank_mean([member[rows] for member in sample.members])

    of_folds = {
        fold: ranks(np.flatnonzero(sample.folds == fold))
        for fold in np.unique(sample.folds).tolist()
    }
    everything = ranks(np.arange(len(sample.folds)))
    return Blend({fold: (mix,) for fold, mix in of_folds.items()}, of_folds, everything)


def _cross_fit(fit: Fit, folds: Rows, places: Rows) -> Blend:
    """Return the mix of each fold, fitted to the other folds; or of each half of the only fold."""
    whole = fit(np.arange(len(folds)))
    numbers = np.unique(folds).tolist()
    if len(numbers) > 1:
        of_folds = {fold: fit(np.flatnonzero(folds != fold)) for fold in numbers}
        return Blend({fold: (mix,) for fold, mix in of_folds.items()}, of_folds, whole)
    if len(folds) < 2:
        return Blend({}, {}, whole)
    halves = [np.flatnonzero(np.arange(len(folds)) % 2 != part) for part in range(2)]
    return Blend({numbers[0]: tuple(map(fit, halves))}, {}, whole, places)
