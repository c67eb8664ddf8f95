"""How the predictions of several members become one: a function of a batch of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from darkroom.prediction.thresholds import Doubles, Floats

Mix = Callable[[Sequence[Floats]], Floats]
"""A batch (n, ...) of each member, of the same images, to one of the same shape, float32."""

Scale = Literal["plain", "log", "logit"]
_LEAST = 1e-7  # probability: its logarithm counts, and 1 less it is not 1 in float32


@dataclass(frozen=True)
class WeightedMean:
    """The weighted mean of the members.

    Attributes:
        weights: One a member; they sum to 1.
        scale: "plain": the mean of the values. "log": of classes the geometric mean, made to sum to
            1; "logit": the same of labels. The plain mean of sure and unsure members is less sure
            than any of them, which log loss punishes (Hinton 2002, products of experts).

    Example:
        >>> WeightedMean((0.75, 0.25))([np.float32([[1, 0]]), np.float32([[0, 0]])])
        array([[0.75, 0.  ]], dtype=float32)
        >>> sure, unsure = np.float32([[0.9, 0.1]]), np.float32([[0.5, 0.5]])
        >>> WeightedMean((0.5, 0.5), "log")([sure, unsure])
        array([[0.75, 0.25]], dtype=float32)
    """

    weights: tuple[float, ...]
    scale: Scale = "plain"

    def __call__(self, members: Sequence[Floats]) -> Floats:
        """Return the mean; a member of weight 0 is not looked at."""
        used = [
            (np.float32(weight), member)
            for weight, member in zip(self.weights, members, strict=True)
            if weight
        ]
        if self.scale != "plain":
            return _geometric_mean(used, self.scale)
        mean = np.sum([weight * member for weight, member in used], axis=0, dtype=np.float32)
        # Rounding can leave the range of the members by a little, and 0..1 with it.
        low, high = (
            reduce([member for _, member in used])
            for reduce in (np.minimum.reduce, np.maximum.reduce)
        )
        return np.asarray(np.clip(mean, low, high), np.float32)


@dataclass(frozen=True)
class RankMean:
    """The mean of the members' ranks among the validation predictions of the same fold, 0 to 1.

    So members count alike whose probabilities are not alike: one that says 0.4 to 0.6, and one that
    says 0 or 1. A prediction between two of them has a rank between theirs; the rank of equals is
    the middle of theirs. Other images of the test set play no part.

    Attributes:
        sorted_columns: Of each member, the validation predictions (n, K), each column ascending.
    """

    sorted_columns: tuple[Floats, ...]

    def __call__(self, members: Sequence[Floats]) -> Floats:
        """Return the mean rank."""
        total = np.zeros(members[0].shape, np.float64)
        for ordered, member in zip(self.sorted_columns, members, strict=True):
            for k in range(member.shape[1]):
                total[:, k] += _ranks(ordered[:, k], member[:, k])
        return (total / len(members)).astype(np.float32)


def rank_mean(members: Sequence[Floats]) -> RankMean:
    """Return the rank mean that validation predictions (n, K) of each member define.

    Example:
        >>> timid, bold = np.float32([[0.4], [0.6]]), np.float32([[0], [1]])
        >>> rank_mean([timid, bold])([timid, bold])[:, 0].tolist()
        [0.25, 0.75]
    """
    return RankMean(tuple(np.sort(member, axis=0) for member in members))


def _geometric_mean(used: Sequence[tuple[np.float32, Floats]], scale: Scale) -> Floats:
    """Return the weighted mean of logarithms, or of logits, as probabilities."""
    total = np.zeros(used[0][1].shape, np.float64)
    for weight, member in used:
        p = np.clip(member.astype(np.float64), _LEAST, 1 - _LEAST)
        total += weight * (np.log(p) if scale == "log" else np.log(p / (1 - p)))
    if scale == "logit":
        return np.asarray(1 / (1 + np.exp(-total)), np.float32)
    shares = np.exp(total - total.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def mean_of(members: Sequence[Floats]) -> Doubles:
    """Return the plain mean of the members, float64."""
    return np.asarray(np.mean(members, axis=0, dtype=np.float64))


def _ranks(ordered: Floats, values: Floats) -> Doubles:
    """Return the rank of each value among n ascending ones, (place + 1/2) / n, interpolated."""
    levels, firsts, counts = np.unique(ordered, return_index=True, return_counts=True)
    places = (firsts + counts / 2) / len(ordered)
    inner = (levels > 0) & (levels < 1)
    # Beyond the ends lies half a place, up to 0 and 1: what differs there differs in rank.
    levels = np.concatenate([[0.0], levels[inner], [1.0]])
    low = places[~inner & (ordered[firsts] <= 0)]
    high = places[~inner & (ordered[firsts] >= 1)]
    ends = (low if len(low) else [0.0]), (high if len(high) else [1.0])
    places = np.concatenate([ends[0], places[inner], ends[1]])
    return np.asarray(np.interp(values, levels, places), np.float64)
