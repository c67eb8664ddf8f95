"""The mean of several predictions of the same images: of folds, say, or of several networks."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from darkroom.errors import ArtifactError
from darkroom.prediction.predictions import Prediction

_FIX = "run `dvc repro`, which predicts anew what is out of date"


def averaged(
    sources: Sequence[Iterable[Prediction]], weights: Sequence[float] | None = None
) -> Iterator[Prediction]:
    """Yield the mean of several predictions of the same images, batch by batch.

    Args:
        sources: Files, or other batches, of any sizes; at least one.
        weights: One a source, which need not add up to 1; None: all the same.

    Raises:
        ArtifactError: They are not of the same images in the same order, or differ in shape.
    """
    factors = np.ones(len(sources)) if weights is None else np.asarray(weights, np.float64)
    if len(factors) != len(sources) or not len(sources) or not factors.sum() > 0:
        raise ValueError(f"{len(sources)} sources, weights {weights}")
    for batches in aligned(sources):
        ids, values, originals = batches[0]
        total = values * np.float32(factors[0])
        for batch, factor in zip(batches[1:], factors[1:], strict=True):
            if batch.probabilities.shape != values.shape:
                raise ArtifactError(
                    "predictions to average have different shapes",
                    found=f"{values.shape[1:]} and {batch.probabilities.shape[1:]}",
                    expected="as many outputs, and masks of one size",
                    fix=_FIX,
                )
            total += (
                batch.probabilities if factor == 1 else batch.probabilities * np.float32(factor)
            )
        total /= np.float32(factors.sum())
        yield Prediction(ids, total, originals)


def aligned(sources: Sequence[Iterable[Prediction]]) -> Iterator[list[Prediction]]:
    """Yield batches of the same images, one a source, in the sizes of the first.

    Args:
        sources: Files, or other batches, of any sizes; at least one.

    Raises:
        ArtifactError: They are not of the same images in the same order.
    """
    others = [_Rechunked(source) for source in sources[1:]]
    for first in sources[0]:
        batches = [first]
        for number, other in enumerate(others, start=2):
            batches.append(other.take(len(first.ids)))
            _require_same_images(first, batches[-1], number)
        yield batches
    for number, other in enumerate(others, start=2):
        if ids := other.take(1).ids:
            raise _other_images(f"{number} has more than the first: {ids[0]}")


def _require_same_images(first: Prediction, other: Prediction, number: int) -> None:
    if first.ids != other.ids or not np.array_equal(first.originals, other.originals):
        name = other.ids[0] if other.ids else "no more"
        raise _other_images(f"from {first.ids[0]} on in the first, {number}: {name}")


def _other_images(difference: str) -> ArtifactError:
    return ArtifactError(
        "predictions to average are of different images",
        found=difference,
        expected="the same images, in the same order and of the same sizes",
        fix=_FIX,
    )


class _Rechunked:
    """Batches that are taken in other sizes."""

    def __init__(self, source: Iterable[Prediction]) -> None:
        self._source = iter(source)
        self._rest: list[Prediction] = []

    def take(self, count: int) -> Prediction:
        """Return the next `count` rows, or as many as are left."""
        while sum(len(batch.ids) for batch in self._rest) < count:
            batch = next(self._source, None)
            if batch is None:
                break
            self._rest.append(batch)
        if not self._rest:
            return Prediction([], np.empty((0, 0), np.float32), np.empty((0, 2), np.int64))
        whole = self._rest[0] if len(self._rest) == 1 else _joined(self._rest)
        first, rest = (
            Prediction(whole.ids[part], whole.probabilities[part], whole.originals[part])
            for part in (slice(count), slice(count, None))
        )
        self._rest = [rest] if rest.ids else []
        return first


def _joined(batches: Sequence[Prediction]) -> Prediction:
    return Prediction(
        [image_id for batch in batches for image_id in batch.ids],
        np.concatenate([batch.probabilities for batch in batches]),
        np.concatenate([batch.originals for batch in batches]),
    )
