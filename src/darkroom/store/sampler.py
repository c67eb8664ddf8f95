"""The order in which rows are read: a pure function of (seed, epoch).

Shuffled, an epoch has each row once. `Balanced` and `Foreground` draw as many rows, some of them
several times and others not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

FOREGROUND_EVERY = 3
"""A third of the windows hold foreground (Isensee et al. 2021, nnU-Net)."""

EVEN = 0.5  # the share of rows at which a label, which is there or not, is balanced

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BatchRequest:
    """One batch to read: all that a worker needs to know.

    Attributes:
        epoch: Counted from 0.
        rows: Of the store.
        repeats: How often each row came before in its epoch; empty: all are the first.
        foreground: Whether each row's window must hold foreground; empty: none must.
    """

    epoch: int
    rows: tuple[int, ...]
    repeats: tuple[int, ...] = ()
    foreground: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Balanced:
    """Draws groups of rows by their shares, and the rows of a group evenly.

    A group gets its share of the epoch, rounded up or down; a row is drawn once more only after
    all of its group. See `class_balanced` and `label_balanced`.

    Attributes:
        groups: int64 (n,), the group of each row, 0 to G - 1; each group has a row.
        shares: float64 (G,), of the draws of an epoch; they add up to 1.
    """

    groups: Ints
    shares: NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> tuple[Ints, None]:
        """Return the numbers, 0 to n - 1, of an epoch's n rows, in random order."""
        # Systematic sampling: whole counts that add up to n, each within 1 of its expectation.
        edges = np.floor(len(self.groups) * np.cumsum(self.shares) + rng.random())
        edges[-1] = len(self.groups)  # whatever the sum was rounded to
        counts = np.diff(np.minimum(edges, len(self.groups)), prepend=0).astype(np.int64)
        members = [
            np.resize(rng.permutation(np.flatnonzero(self.groups == group)), count)
            for group, count in enumerate(counts)
        ]
        return rng.permutation(np.concatenate(members)), None


@dataclass(frozen=True)
class Foreground:
    """Puts a row with foreground at every third place, and asks for it in the row's window.

    Where a third of the rows or more have some, each row is drawn once.

    Attributes:
        present: bool (n,), whether each row has foreground; one or more do.
    """

    present: NDArray[np.bool_]

    def draw(self, rng: np.random.Generator) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the numbers of an epoch's n rows, and which windows must hold foreground."""
        order = rng.permutation(len(self.present))
        forced = np.arange(len(order)) % FOREGROUND_EVERY == 0
        full, empty = order[self.present[order]], order[~self.present[order]]
        count = np.count_nonzero(forced)
        rest = np.concatenate([full[count:], rng.permutation(empty)[: len(order) - count]])
        numbers = np.empty_like(order)
        numbers[forced] = np.resize(full, count)
        numbers[~forced] = rng.permutation(rest)
        return numbers, forced


Sampling = Balanced | Foreground


def class_balanced(classes: Ints) -> Balanced:
    """Return how to draw each class equally often (Kang et al. 2020, Decoupling Representation).

    Args:
        classes: int64 (n,), of the rows; classes that no row has are left out.

    Example:
        >>> class_balanced(np.array([0, 0, 0, 2])).shares.tolist()
        [0.5, 0.5]
    """
    present, groups = np.unique(classes, return_inverse=True)
    return Balanced(groups.astype(np.int64), np.full(len(present), 1 / len(present)))


def label_balanced(present: NDArray[np.bool_]) -> Balanced:
    """Return how to draw rare labels more often: repeat factors (Gupta et al. 2019, LVIS).

    A row is drawn in proportion to the greatest factor sqrt(1 / (2 f)) of its labels, where f is
    the share of the rows that have the label; 1 if none of its labels is rarer than one half.

    Args:
        present: bool (n, K), the labels of each row.

    Example:
        >>> label_balanced(np.array([[True], [False], [False], [False], [False]])).shares.round(3)
        array([0.717, 0.283])
    """
    frequencies = present.mean(axis=0)
    factors = np.sqrt(EVEN / np.maximum(frequencies, 1 / len(present))).clip(1)
    rarest = np.where(present, factors, 1.0)
    repeats, groups = np.unique(rarest.max(axis=1), return_inverse=True)
    weights = repeats * np.bincount(groups)
    return Balanced(groups.astype(np.int64), weights / weights.sum())


def labelled_half(labelled: int, pseudo_labelled: int) -> Balanced | None:
    """Return how to draw labelled rows for half of an epoch; None: they are half of the rows.

    Lee 2013 (Pseudo-Label) adds the mean loss of pseudo-labelled rows to that of labelled ones,
    however many there are of each: else the first network's errors outweigh the answers.

    Args:
        labelled: How many rows come first; 1 or more.
        pseudo_labelled: How many come after them.

    Example:
        >>> labelled_half(1, 3)
        Balanced(groups=array([0, 1, 1, 1]), shares=array([0.5, 0.5]))
    """
    if pseudo_labelled <= labelled:
        return None
    return Balanced(np.repeat(np.arange(2), [labelled, pseudo_labelled]), np.full(2, 0.5))


class EpochSampler(Sampler[BatchRequest]):
    """Yields the batches of an epoch, or the rest of it.

    Its only state is where to start, so a resumed run reads any batch of any epoch without reading
    those before it. The training loop calls `start` before each epoch.

    Args:
        rows: The rows to read.
        batch_size: Rows in a batch, over all ranks.
        seed: Of the shuffling; None reads the rows in the given order in every epoch.
        drop_last: Leave out a last batch that is not full.
        sampling: Which rows an epoch has; needs a seed. None: each row once.
    """

    def __init__(
        self,
        rows: Sequence[int],
        batch_size: int,
        *,
        seed: int | None,
        drop_last: bool = False,
        sampling: Sampling | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be 1 or more")
        if sampling is not None and seed is None:
            raise ValueError("sampling needs a seed")
        self.rows = np.asarray(rows, dtype=np.int64)
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last
        self.sampling = sampling
        self.epoch = 0
        self._start = 0
        self._rank, self._world = 0, 1

    def start(self, epoch: int, batch: int = 0) -> None:
        """Let the next iteration begin at a batch of an epoch, both counted from 0."""
        self.epoch, self._start = epoch, batch

    def share(self, rank: int, world: int) -> None:
        """Divide each batch among ranks: read every `world`-th row, from the `rank`-th on.

        If shuffled, a last batch with fewer rows than ranks is left out, so that all ranks take
        the same number of steps. In the given order no row is left out: some ranks may read one
        batch less.
        """
        if world > self.batch_size:
            raise ValueError(f"{world} ranks share a batch of {self.batch_size}")
        self._rank, self._world = rank, world

    def rows_in_batch(self, batch: int) -> int:
        """Return the number of rows in a batch (counted from 0) over all ranks."""
        return min(self.batch_size, len(self.rows) - batch * self.batch_size)

    def __len__(self) -> int:
        full, rest = divmod(len(self.rows), self.batch_size)
        if self.seed is None:
            return full + (rest > self._rank and not self.drop_last)
        return full + (rest >= self._world and not self.drop_last)

    def __iter__(self) -> Iterator[BatchRequest]:
        epoch = self.epoch
        rows, repeats, forced = self._epoch_rows(epoch)
        for number in range(self._start, len(self)):
            start = number * self.batch_size
            mine = np.s_[start + self._rank : start + self.batch_size : self._world]
            yield BatchRequest(
                epoch,
                tuple(rows[mine].tolist()),
                () if repeats is None else tuple(repeats[mine].tolist()),
                () if forced is None else tuple(forced[mine].tolist()),
            )

    def _epoch_rows(self, epoch: int) -> tuple[Ints, Ints | None, NDArray[np.bool_] | None]:
        """Return the rows of an epoch, their repeats, and which need foreground."""
        if self.seed is None:
            return self.rows, None, None
        rng = np.random.default_rng([self.seed, epoch])
        if self.sampling is None:
            return rng.permutation(self.rows), None, None
        numbers, forced = self.sampling.draw(rng)
        rows = self.rows[numbers]
        return rows, _repeats(rows), forced


def _repeats(rows: Ints) -> Ints:
    """Return how often each value came before.

    Example:
        >>> _repeats(np.array([5, 3, 5, 5])).tolist()
        [0, 0, 1, 2]
    """
    order = np.argsort(rows, kind="stable")
    _, first, counts = np.unique(rows[order], return_index=True, return_counts=True)
    repeats = np.empty_like(rows)
    repeats[order] = np.arange(len(rows)) - np.repeat(first, counts)
    return repeats
