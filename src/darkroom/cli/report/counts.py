"""Counts of validation predictions against their truth: by class, and at 256 levels.

Precision, recall and calibration are all of these counts. Predictions are read a batch at a time.
Masks are counted at the stored size and before their cleanup, of images that are evenly spaced
where there are very many pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from darkroom.cli.report.evidence import Evidence
from darkroom.images.geometry import fit_placement
from darkroom.prediction.thresholds import LEVELS, column_counts_above
from darkroom.stages._inputs import mask_classes
from darkroom.tasks.answers import Floats
from darkroom.tasks.metrics.labels import class_numbers, split_truth

BINS = 16  # of a reliability diagram; they divide LEVELS
MOST_CURVES = 8  # classes that have a curve of their own; of more all are taken as one
_MOST_PIXELS = 1 << 27

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


@dataclass
class Counts:
    """Counts of K classes, labels or mask classes; of images, or of the pixels of masks.

    Attributes:
        names: Of the K.
        unit: "image" or "pixel".
        images: How many images were counted.
        known_count: int64 (K,), whose truth is known.
        positives: int64 (K,), that have the class.
        predicted: int64 (K,), whose answer has it.
        hits: int64 (K,), both.
        images_with: int64 (K,), images that have the class.
        images_predicted: int64 (K,), images whose answer has it.
        above: int64 (2, C, 256), negatives and positives whose probability exceeds each of 0/256
            to 255/256; C is K up to MOST_CURVES, else 1.
        sums: float64 (C, BINS), the probabilities in each bin.
        sure: int64 (2, BINS), multiclass: images by their greatest probability, and the right ones.
        sure_sum: float64 (BINS,), the greatest probabilities.
    """

    names: tuple[str, ...]
    unit: str
    images: int = 0
    known_count: Ints = field(init=False)
    positives: Ints = field(init=False)
    predicted: Ints = field(init=False)
    hits: Ints = field(init=False)
    images_with: Ints = field(init=False)
    images_predicted: Ints = field(init=False)
    above: Ints = field(init=False)
    sums: Doubles = field(init=False)
    sure: Ints = field(init=False)
    sure_sum: Doubles = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.names)
        curves = count if count <= MOST_CURVES else 1
        for key in (
            "known_count",
            "positives",
            "predicted",
            "hits",
            "images_with",
            "images_predicted",
        ):
            setattr(self, key, np.zeros(count, np.int64))
        self.above = np.zeros((2, curves, LEVELS), np.int64)
        self.sums = np.zeros((curves, BINS))
        self.sure, self.sure_sum = np.zeros((2, BINS), np.int64), np.zeros(BINS)

    @property
    def precision(self) -> Doubles:
        """float64 (K,), NaN where nothing is predicted."""
        return _ratio(self.hits, self.predicted)

    @property
    def recall(self) -> Doubles:
        """float64 (K,), NaN where no image has the class."""
        return _ratio(self.hits, self.positives)

    @property
    def f1(self) -> Doubles:
        """float64 (K,), NaN where it is neither there nor predicted."""
        return _ratio(2 * self.hits, self.positives + self.predicted)

    @property
    def never_predicted(self) -> list[str]:
        """The names of those that are there, and that no answer has."""
        return self._names((self.positives > 0) & (self.predicted == 0))

    @property
    def never_right(self) -> list[str]:
        """The names of those that are there and are predicted, but never where they are."""
        return self._names((self.positives > 0) & (self.predicted > 0) & (self.hits == 0))

    @property
    def absent(self) -> list[str]:
        """The names of those that no counted image has."""
        return self._names(self.positives == 0)

    def _names(self, which: NDArray[np.bool_]) -> list[str]:
        return [self.names[place] for place in np.flatnonzero(which)]

    def precision_recall(self, column: int) -> tuple[Doubles, Doubles]:
        """Return recall and precision at each threshold where something is predicted."""
        false, true = self.above[:, column]
        total = int(true[0])
        is_some = (false + true > 0) & (true > 0)
        recall, precision = true / max(1, total), _ratio(true, false + true)
        return recall[is_some][::-1], precision[is_some][::-1]

    def reliability(self) -> tuple[Doubles, Doubles, Ints]:
        """Return mean probability, share that is so, and number, of each bin (BINS,).

        Of classes that exclude each other those of the greatest probability; else of all labels.
        """
        if self.sure[0].any():
            return (
                _ratio(self.sure_sum, self.sure[0]),
                _ratio(self.sure[1], self.sure[0]),
                self.sure[0],
            )
        edges = np.arange(0, LEVELS, LEVELS // BINS)
        # The number of those in bin k: more than its lower edge, and not more than its upper one.
        per_bin = [
            np.append(-np.diff(kind[:, edges], axis=1).sum(0), kind[:, edges[-1]].sum())
            for kind in self.above
        ]
        false, true = (np.asarray(each, np.int64) for each in per_bin)
        # A probability of exactly 0 exceeds nothing.
        zero = int(self.known_count.sum()) - int((false + true).sum())
        positives = int(self.positives.sum()) - int(true.sum())
        false[0] += zero - positives
        true[0] += positives
        count = false + true
        return _ratio(self.sums.sum(axis=0), count), _ratio(true, count), count

    def calibration_error(self) -> float:
        """Return the expected calibration error (Naeini et al. 2015)."""
        mean, share, count = self.reliability()
        return float(np.nansum(np.abs(mean - share) * count) / max(1, count.sum()))


def count_predictions(evidence: Evidence) -> Counts | None:
    """Return the counts of all validated images; of values None."""
    card = evidence.card
    if card.task == "regression":
        return None
    names = card.shown or ("mask",)
    if card.task == "binary":
        names = (card.label_values[1],) if card.label_values != ("0", "1") else card.targets
    is_mask = card.task == "segmentation"
    counts = Counts(tuple(names), "pixel" if is_mask else "image")
    batches = _mask_batches(evidence) if is_mask else _label_batches(evidence)
    for probabilities, answers, truth, is_known in batches:
        _add(counts, probabilities, answers & is_known, truth & is_known, is_known)
        counts.images += 1 if is_mask else len(truth)
        if card.task == "multiclass":
            _add_sure(counts, probabilities, answers & truth)
    return counts


Batch = tuple[Floats, NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]
"""Probabilities (n, K), then answers, truth and what is known of it, bool (n, K)."""


def _label_batches(evidence: Evidence) -> Iterator[Batch]:
    card, decision = evidence.card, evidence.decision
    for fold, predictions in evidence.predictions.items():
        truth, start = evidence.rows(fold)[list(card.targets)].to_numpy(np.float64), 0
        for batch in predictions.batches():
            part = truth[start : start + len(batch.ids)]
            start += len(batch.ids)
            probabilities = decision.calibrated(card.task, batch.probabilities)
            answers = decision.answers(card.task, probabilities)
            if card.task != "multiclass":
                present, is_known = split_truth(part)
                yield probabilities, answers > 0, present, is_known
                continue
            is_known = ~np.isnan(part).any(axis=1)
            numbers = class_numbers(part[is_known] if card.soft else part[is_known, 0])
            classes = np.arange(len(card.classes))
            one_hot = numbers[:, None] == classes, answers[is_known, None] == classes
            yield probabilities[is_known], one_hot[1], one_hot[0], np.ones_like(one_hot[0])


def _mask_batches(evidence: Evidence) -> Iterator[Batch]:
    """Yield the pixels of each image, without those that only pad it."""
    shards, card = evidence.shards, evidence.card
    number_of = {image_id: number for number, image_id in enumerate(shards.ids)}
    pixels = sum(each.header.rows for each in evidence.predictions.values())
    pixels *= shards.height * shards.width * card.planes
    step, place = -(-pixels // _MOST_PIXELS), -1
    exclusive = mask_classes(card)
    for predictions in evidence.predictions.values():
        for batch in predictions.batches():
            for image_id, planes, (height, width) in zip(*batch, strict=True):
                if (place := place + 1) % step:
                    continue
                mask = shards.mask(number_of[image_id])
                assert mask is not None, "a training row without a mask is refused by the index"
                stored = fit_placement(
                    height, width, shards.height, shards.width, shards.fit
                ).stored
                mask = mask[:, *stored.slices]
                planes = planes[:, *stored.slices]
                truth = mask[: card.planes] > 0
                is_known = (
                    np.ones(truth.shape[1:], bool) if len(mask) == len(truth) else mask[-1] == 0
                )
                if exclusive.exclusive and not exclusive.background:
                    is_known &= truth.any(axis=0)
                answer = evidence.answer_masks(planes) > 0
                known_planes = np.broadcast_to(is_known, truth.shape)
                columns = card.planes
                yield (
                    planes.reshape(columns, -1).T,
                    answer.reshape(columns, -1).T,
                    truth.reshape(columns, -1).T,
                    known_planes.reshape(columns, -1).T,
                )


def _add(
    counts: Counts,
    probabilities: Floats,
    answers: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    is_known: NDArray[np.bool_],
) -> None:
    hits = answers & truth
    for total, flags in (
        (counts.known_count, is_known),
        (counts.positives, truth),
        (counts.predicted, answers),
        (counts.hits, hits),
    ):
        total += flags.sum(axis=0)
    per_image = counts.unit == "image"
    counts.images_with += truth.sum(axis=0) if per_image else truth.any(axis=0)
    counts.images_predicted += answers.sum(axis=0) if per_image else answers.any(axis=0)
    columns = counts.above.shape[1]
    flat = np.ascontiguousarray(probabilities.reshape(-1, columns))
    present, flat_known = (flags.reshape(-1, columns) for flags in (truth, is_known))
    counts.above += np.stack(column_counts_above(flat, present, flat_known))
    bins = bins_of(flat)
    weights = np.where(flat_known, flat, 0).astype(np.float64)
    for column in range(columns):
        counts.sums[column] += np.bincount(bins[:, column], weights[:, column], BINS)


def _add_sure(counts: Counts, probabilities: Floats, right: NDArray[np.bool_]) -> None:
    greatest = probabilities.max(axis=1)
    bins = bins_of(greatest)
    counts.sure[0] += np.bincount(bins, minlength=BINS)
    counts.sure[1] += np.bincount(bins[right.any(axis=1)], minlength=BINS)
    counts.sure_sum += np.bincount(bins, greatest.astype(np.float64), BINS)


def bins_of(probabilities: Floats) -> Ints:
    """Return the bin of each probability: k is more than k / BINS, and up to (k + 1) / BINS.

    Example:
        >>> bins_of(np.array([0, 0.0625, 0.07, 1], np.float32)).tolist()
        [0, 0, 1, 15]
    """
    upper = np.ceil(probabilities * np.float32(BINS)).astype(np.int64)
    return np.asarray(np.maximum(upper - 1, 0), np.int64)


def curve_names(counts: Counts) -> Sequence[str]:
    """Return the name of each column of `Counts.above`."""
    return (
        counts.names
        if counts.above.shape[1] == len(counts.names)
        else (f"all {len(counts.names)}",)
    )


def _ratio(parts: Ints | Doubles, wholes: Ints | Doubles) -> Doubles:
    shares = np.full(parts.shape, np.nan)
    np.divide(parts, wholes, out=shares, where=wholes > 0)
    return shares
