"""Rows of a store to batches of tensors.

A batch is one call that fills one block of memory: uint8 images (N, H, W, 3), which the tensor
(N, 3, H, W) views with channels-last strides. Pixels stay uint8 until they are on the device that
normalises them. A batch is a pure function of (store, rows, targets, seed, epoch): how many
workers there are changes nothing.
"""

import ctypes
import hashlib
import math
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, get_worker_info

from darkroom.errors import ArtifactError, DarkroomError, ResourceError
from darkroom.images.codec import Pixels
from darkroom.store.sampler import EpochSampler, Order
from darkroom.store.shard import REMAKE
from darkroom.store.store import Store

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h: the signal sent to a process whose parent dies

Augment = Callable[[Pixels, Pixels | None, int], tuple[Pixels, Pixels | None]]
"""(image (H, W, 3), mask (H, W) or None, 64-bit seed) -> the same, changed.

The results have one size (h, w), that of the batch.
"""


@dataclass(frozen=True)
class Batch:
    """What a step of training, evaluation or prediction reads.

    Attributes:
        ids: N names, as in the index.
        images: uint8 (N, 3, H, W), RGB, 0..255, channels-last in memory; of the stored size, or
            of that which the augmentation gives.
        targets: Masks uint8 (N, H, W) of 0 and 1; or float32 (N, K), or int64 (N,), as given to
            `loader`; None where there are none.
        originals: int64 (N, 2), height and width of the original pictures.
    """

    ids: list[str]
    images: torch.Tensor
    targets: torch.Tensor | None
    originals: torch.Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """Return the batch with its images and targets on `device`; sizes stay on the host."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """Return the batch in page-locked memory, for copies to a GPU that don't wait."""
        return self._with(torch.Tensor.pin_memory)

    def _with(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        targets = None if self.targets is None else change(self.targets)
        return replace(self, images=change(self.images), targets=targets)


class Rows(Dataset["Batch | DarkroomError"]):
    """Makes the batch that an `Order` names. It has no state that outlives a call but memory.

    Args:
        store: The pictures.
        targets: One entry a row of the store; or None.
        masks: Whether to read the store's masks as targets instead.
        augment: Changes an image and its mask, given a seed.
        seed: From which, with the epoch and the id, the seed of an augmentation is derived.
    """

    def __init__(
        self,
        store: Store,
        targets: NDArray[Any] | None,
        *,
        masks: bool,
        augment: Augment | None,
        seed: int | None,
    ) -> None:
        self.store, self.targets, self.masks = store, targets, masks
        self.augment, self.seed = augment, seed
        self.buffers = Buffers()

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, order: Order) -> "Batch | DarkroomError":
        try:
            return self.read(order)
        except DarkroomError as fault:
            # Raised in a worker it would arrive with a traceback for its message: it travels as
            # a value, and the loader raises it.
            if get_worker_info() is None:
                raise
            return fault

    def read(self, order: Order) -> Batch:
        """Return the batch.

        Raises:
            ArtifactError: A stored JPEG is damaged.
        """
        store, rows = self.store, order.rows
        masks = store.masks(rows) if self.masks else None
        if self.augment is not None and self.seed is not None:
            images, masks = self._augmented(order, masks, self.augment, self.seed)
        else:
            images = self.buffers.take((len(rows), store.height, store.width, 3))
            for place, row in enumerate(rows):
                store.read_image(row, images[place])
        return Batch(
            ids=[store.ids[row] for row in rows],
            images=torch.from_numpy(images).permute(0, 3, 1, 2),
            targets=self._targets(rows, masks),
            originals=torch.from_numpy(store.originals[list(rows)].astype(np.int64)),
        )

    def _augmented(
        self, order: Order, masks: Pixels | None, augment: Augment, seed: int
    ) -> tuple[Pixels, Pixels | None]:
        """Return the pictures of a batch, changed, and their masks, moved likewise."""
        images, moved = None, None
        for place, row in enumerate(order.rows):
            image, mask = augment(
                self.store.image(row),
                None if masks is None else masks[place],
                item_seed(seed, order.epoch, self.store.ids[row]),
            )
            if images is None:  # only now is the size known
                images = self.buffers.take((len(order.rows), *image.shape))
                moved = None if mask is None else np.empty((len(order.rows), *mask.shape), np.uint8)
            images[place] = image
            if moved is not None:
                moved[place] = mask
        assert images is not None, "an order of no rows"
        return images, moved

    def _targets(self, rows: Sequence[int], masks: Pixels | None) -> torch.Tensor | None:
        if masks is not None:
            return torch.from_numpy(masks)
        return None if self.targets is None else torch.from_numpy(self.targets[list(rows)])


def item_seed(seed: int, epoch: int, row_id: str) -> int:
    """Return 64 random bits that depend on these three alone."""
    text = f"{seed}\n{epoch}\n{row_id}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


class Loader(DataLoader["Batch | DarkroomError"]):
    """A DataLoader of batches, whose workers' errors arrive as themselves."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch names its own iterator
        for batch in super().__iter__():
            if isinstance(batch, DarkroomError):
                raise batch
            yield batch

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, counted from 0. Lightning does so by itself."""
        sampler = self.sampler
        assert isinstance(sampler, EpochSampler)
        sampler.set_epoch(epoch)


def loader(
    store: Store,
    rows: Sequence[int],
    targets: NDArray[Any] | None,
    *,
    masks: bool,
    batch_size: int,
    seed: int | None,
    augment: Augment | None = None,
    workers: int = 0,
    drop_last: bool = False,
) -> Loader:
    """Return a loader of `Batch`.

    Args:
        store: The pictures.
        rows: Which rows of the store to read.
        targets: float32 (len(store), K) or int64 (len(store),): one entry for every row of the
            store, read or not. None for masks, or for no targets at all.
        masks: Whether the targets are the store's masks. To predict they need not be read.
        batch_size: Rows in a batch; the last has what is left.
        seed: Of the shuffling and the augmentation. None: given order, no augmentation.
        augment: See `darkroom.training.augment.build.build`; needs a seed.
        workers: Processes that read ahead; 0 reads in this process. They change no batch.
        drop_last: Leave out a last batch that is not full.

    Raises:
        ArtifactError: Masks are asked for, and some rows have none.
    """
    if augment is not None and seed is None:
        raise ValueError("augmentation needs a seed")
    if targets is not None and len(targets) != len(store):
        raise ValueError(f"{len(targets)} targets for a store of {len(store)} rows")
    if masks:
        _check_masks(store, rows, targets)
    # A generator of the loader's own leaves torch's global random state to the training.
    return Loader(
        Rows(store, targets, masks=masks, augment=augment, seed=seed),
        batch_size=None,
        sampler=EpochSampler(rows, batch_size, seed=seed, drop_last=drop_last),
        collate_fn=_as_it_is,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=partial(_attend, os.getpid()),
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(0),
    )


def _check_masks(store: Store, rows: Sequence[int], targets: NDArray[Any] | None) -> None:
    if targets is not None:
        raise ValueError("the targets are masks or what is given, not both")
    absent = [store.ids[row] for row in rows if not store.has_mask[row]]
    if absent:
        raise ArtifactError(
            "images to learn from have no mask in the shards",
            file=store.folder,
            found=f"{len(absent)} of {len(rows)} without, such as {absent[0]}",
            fix=REMAKE,
        )


@contextmanager
def workers_heard(helped: bool) -> Iterator[None]:
    """Say in our words that a worker was lost: torch raises it wherever the reader just is.

    Args:
        helped: Whether there are workers. A pipe to one that is gone then says so too.

    Raises:
        ResourceError: In its place.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError, FileNotFoundError) as error:
        told = "DataLoader worker" in str(error)
        if not told and (isinstance(error, RuntimeError) or not helped):
            raise
        raise ResourceError(
            "a loader process ended early",
            found=str(error).splitlines()[0] if told else f"DataLoader worker: {error!r}",
            fix="free memory, or use fewer workers, and run again: training goes on from its last "
            "checkpoint",
        ) from error


def _attend(reader: int, _worker: int) -> None:
    """Leave a process group, so that its signals go to the process that reads; and end with it.

    Without its workers it could not come to the place where it saves. One that dies while they
    start would leave them behind: torch looks for a parent that changes, and it has changed.
    """
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != reader:
        os._exit(1)


def _as_it_is(batch: Any) -> Any:
    return batch


_KEPT = 8  # blocks that wait for use; a loop needs two or three kinds, each once or twice


class Buffers:
    """Lends blocks of memory, and takes each back when its last reference dies."""

    def __init__(self) -> None:
        self._free: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["Buffers"], tuple[()]]:
        return Buffers, ()  # memory stays in its process

    def take(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return uint8 memory of that shape, contiguous, with any content.

        It is nobody else's for as long as the array, or a tensor made of it, or a view of that
        tensor lives. Views made with numpy don't count: they refer to the block behind it.
        """
        size = math.prod(shape)
        block = self._free_block(size)
        if block is None:
            block = np.empty(size, np.uint8)
        lent = block.reshape(shape)
        weakref.finalize(lent, self._give_back, block).atexit = False
        return lent

    def _free_block(self, size: int) -> NDArray[np.uint8] | None:
        with self._lock:
            for place, block in enumerate(self._free):
                if block.size == size:
                    return self._free.pop(place)
        return None

    def _give_back(self, block: NDArray[np.uint8]) -> None:
        with self._lock:
            self._free.append(block)
            del self._free[:-_KEPT]
