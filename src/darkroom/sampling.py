"""The order in which rows are read: a pure function of (seed, epoch)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler


@dataclass(frozen=True)
class Order:
    """One batch to read: which rows, in which epoch. It carries all that a worker must know."""

    epoch: int
    rows: tuple[int, ...]


class EpochSampler(Sampler[Order]):
    """Yields the batches of an epoch.

    Its only state is the epoch, so any batch of any epoch can be named, and made again, without
    having made those before. Lightning calls `set_epoch`; other loops call it themselves.

    Args:
        rows: The rows to read.
        batch_size: Rows in a batch.
        seed: Of the shuffling; None keeps the given order in every epoch.
        drop_last: Leave out a last batch that is not full.
    """

    def __init__(
        self, rows: Sequence[int], batch_size: int, *, seed: int | None, drop_last: bool = False
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be 1 or more")
        self.rows = np.asarray(rows, dtype=np.int64)
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0, whose order the next iteration follows."""
        self.epoch = epoch

    def __len__(self) -> int:
        full, rest = divmod(len(self.rows), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Order]:
        epoch = self.epoch
        rows = self.rows
        if self.seed is not None:
            rows = np.random.default_rng([self.seed, epoch]).permutation(rows)
        for number in range(len(self)):
            start = number * self.batch_size
            yield Order(epoch, tuple(rows[start : start + self.batch_size].tolist()))
