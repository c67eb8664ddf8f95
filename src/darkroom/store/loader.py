"""Load batches of tensors from a store.

A batch is decoded into one block of memory: uint8 images (N, H, W, C), which the tensor
(N, C, H, W) views with channels-last strides. Pixels stay uint8 until they are on the device that
normalises them. A batch is a pure function of (store, rows, targets, seed, epoch): the number of
workers does not matter.
"""

import hashlib
import itertools
import math
import os
import shutil
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, get_worker_info

from darkroom.errors import ArtifactError, DarkroomError, ResourceError
from darkroom.images.codec import Pixels
from darkroom.project import processes
from darkroom.project.files import DISK_FULL
from darkroom.store.sampler import BatchRequest, EpochSampler, Sampling
from darkroom.store.shard import remake
from darkroom.store.store import Store


class Augment(Protocol):
    """Changes an image and its mask; all results of a batch must have one size (h, w)."""

    def __call__(
        self, image: Pixels, mask: Pixels | None, seed: int, foreground: bool = False
    ) -> tuple[Pixels, Pixels | None]:
        """Return the changed image (h, w, C) and mask (K, h, w).

        Args:
            image: uint8 (H, W, C).
            mask: uint8 (K, H, W), or None.
            seed: 64 bits.
            foreground: Whether a window of the image must hold some of the mask.
        """


class Paste(Protocol):
    """Puts parts of other images into images."""

    def partner(self, seed: int, epoch: int) -> int | None:
        """Return the row of the other image for an image of this seed; None: none."""

    def paste(self, image: Pixels, mask: Pixels, other: tuple[Pixels, Pixels], seed: int) -> None:
        """Change an image (h, w, C) and its mask (K, h, w) in place."""


SHARED_MEMORY = "/dev/shm"
_READ_AHEAD = 2  # batches


@dataclass(frozen=True)
class Batch:
    """One batch for training, evaluation or prediction.

    Attributes:
        ids: N names, as in the index.
        images: uint8 (N, C, H, W), RGB where C is 3, 0..255, channels-last in memory; of the
            stored size, or of the augmentation's.
        targets: Masks uint8 (N, K, H, W) of 0 and 1; or float32 (N, K), or int64 (N,), as given to
            `loader`; None where there are none.
        originals: int64 (N, 2), height and width of the original pictures.
    """

    ids: list[str]
    images: torch.Tensor
    targets: torch.Tensor | None
    originals: torch.Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def picture(self, place: int) -> Pixels:
        """Return one of its images, uint8 (H, W, C), copied: a loader fills its memory again."""
        return self.images[place].permute(1, 2, 0).cpu().numpy().copy()

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """Return the batch with its images and targets on `device`; sizes stay on the host."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """Return the batch in page-locked memory, for asynchronous copies to a GPU."""
        return self._with(torch.Tensor.pin_memory)

    def shared(self) -> "Batch":
        """Return the batch in shared memory, from which another process can take it.

        Raises:
            ResourceError: There is too little of it.
        """
        # Else a thread of the worker's queue would do so, and on failure leave the main process
        # waiting for ever.
        tensors = [t for t in (self.images, self.targets, self.originals) if t is not None]
        try:
            for tensor in tensors:
                tensor.share_memory_()  # type: ignore[no-untyped-call]
        except RuntimeError as error:  # of torch, for a full file system
            raise _shared_memory_error(str(error), sum(t.nbytes for t in tensors)) from error
        return self

    def _with(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Batch":
        targets = None if self.targets is None else change(self.targets)
        return replace(self, images=change(self.images), targets=targets)


class BatchDataset(Dataset["Batch | DarkroomError"]):
    """A map-style dataset of batches, by `BatchRequest`. It keeps no state but reusable memory.

    Args:
        store: The pictures.
        targets: One entry a row of the store; or None.
        masks: Whether to read the store's masks as targets instead.
        augment: Augments an image and its mask, given a seed.
        paste: Puts parts of another augmented image into each; None: nothing.
        seed: Of the augmentation, together with the epoch and the id of each image.
    """

    def __init__(
        self,
        store: Store,
        targets: NDArray[Any] | None,
        *,
        masks: bool,
        augment: Augment | None,
        seed: int | None,
        paste: Paste | None = None,
    ) -> None:
        self.store, self.targets, self.masks = store, targets, masks
        self.augment, self.paste, self.seed = augment, paste, seed
        self.buffers = Buffers()

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, request: BatchRequest) -> "Batch | DarkroomError":
        if get_worker_info() is None:
            return self.read_batch(request)
        try:
            return self.read_batch(request).shared()
        except DarkroomError as error:
            # An exception raised in a worker arrives with a traceback as its message. So it is
            # returned as a value, and the loader raises it.
            return error

    def read_batch(self, request: BatchRequest) -> Batch:
        """Return the batch.

        Raises:
            ArtifactError: A stored JPEG is damaged.
        """
        store, rows = self.store, request.rows
        masks = store.masks(rows) if self.masks else None
        if self.augment is not None and self.seed is not None:
            images, masks = self._augmented(request, masks, self.augment, self.seed)
        else:
            images = self.buffers.take((len(rows), store.height, store.width, store.channels))
            for place, row in enumerate(rows):
                store.read_image(row, images[place])
        return Batch(
            ids=[store.ids[row] for row in rows],
            images=torch.from_numpy(images).permute(0, 3, 1, 2),
            targets=self._targets(rows, masks),
            originals=torch.from_numpy(store.originals[list(rows)].astype(np.int64)),
        )

    def _augmented(
        self, request: BatchRequest, masks: Pixels | None, augment: Augment, seed: int
    ) -> tuple[Pixels, Pixels | None]:
        """Return the augmented images of a batch and their masks."""
        images, augmented_masks = None, None
        repeats = request.repeats or itertools.repeat(0)
        forced = request.foreground or itertools.repeat(False)
        items = zip(request.rows, repeats, forced, strict=False)
        for place, (row, repeat, foreground) in enumerate(items):
            own_seed = item_seed(seed, request.epoch, self.store.ids[row], repeat)
            mask = None if masks is None else masks[place]
            image, mask = augment(self.store.image(row), mask, own_seed, foreground)
            if images is None:  # the size is known only now
                images = self.buffers.take((len(request.rows), *image.shape))
                if mask is not None:
                    augmented_masks = np.empty((len(request.rows), *mask.shape), np.uint8)
            images[place] = image
            if augmented_masks is not None:
                augmented_masks[place] = mask
                self._paste(images[place], augmented_masks[place], augment, own_seed, request.epoch)
        assert images is not None, "a request without rows"
        return images, augmented_masks

    def _paste(self, image: Pixels, mask: Pixels, augment: Augment, seed: int, epoch: int) -> None:
        """Put parts of another image, augmented in its own way, into an image and its mask."""
        row = None if self.paste is None else self.paste.partner(seed, epoch)
        if self.paste is None or row is None:
            return
        other = augment(
            self.store.image(row),
            self.store.mask(row),
            item_seed(seed, epoch, self.store.ids[row]),
            True,
        )
        assert other[1] is not None, "a row without a mask"
        self.paste.paste(image, mask, (other[0], other[1]), seed)

    def _targets(self, rows: Sequence[int], masks: Pixels | None) -> torch.Tensor | None:
        if masks is not None:
            return torch.from_numpy(masks)
        return None if self.targets is None else torch.from_numpy(self.targets[list(rows)])


def item_seed(seed: int, epoch: int, row_id: str, repeat: int = 0) -> int:
    """Return a 64-bit seed, a hash of these values alone.

    Args:
        seed: Of the training.
        epoch: Counted from 0.
        row_id: The image's.
        repeat: How often the image came before in this epoch.
    """
    text = f"{seed}\n{epoch}\n{row_id}" + (f"\n{repeat}" if repeat else "")
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class Loader(DataLoader["Batch | DarkroomError"]):
    """A DataLoader of batches that raises the DarkroomErrors of its workers unchanged."""

    sampler: EpochSampler

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch names its own iterator
        for batch in super().__iter__():
            if isinstance(batch, DarkroomError):
                raise batch
            yield batch

    def read_ahead(self) -> Iterator[Batch]:
        """Return the batches, read by threads while the caller works; for loaders without workers.

        Decoding and copying release the interpreter's lock. Two batches wait at most.
        """
        assert isinstance(self.dataset, BatchDataset)
        read_batch, pins = self.dataset.read_batch, self.pin_memory
        return processes.map_ahead(
            lambda request: read_batch(request).pin_memory() if pins else read_batch(request),
            self.sampler,
            _READ_AHEAD,
        )

    def start(self, epoch: int, batch: int = 0) -> None:
        """Let the next iteration begin at a batch of an epoch, both counted from 0."""
        self.sampler.start(epoch, batch)

    def close(self) -> None:
        """End the worker processes, if there are any; the next iteration starts new ones.

        While torch knows workers, the death of one raises wherever the main process happens to be.
        """
        if self._iterator is not None:
            self._iterator._shutdown_workers()  # type: ignore[attr-defined]
            self._iterator = None

    @property
    def full_batches(self) -> int:
        """The number of batches in which every rank has its full share."""
        return len(self.sampler.rows) // self.sampler.batch_size

    def rows_in_batch(self, batch: int) -> int:
        """Return how many rows all ranks together read in a batch, counted from 0."""
        return self.sampler.rows_in_batch(batch)


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
    sampling: Sampling | None = None,
    paste: Paste | None = None,
) -> Loader:
    """Return a loader of `Batch`.

    Args:
        store: The pictures.
        rows: Which rows of the store to read.
        targets: float32 (len(store), K) or int64 (len(store),): one entry for every row of the
            store, read or not. None for masks, or for no targets at all.
        masks: Whether the targets are the store's masks. Prediction does not need them.
        batch_size: Rows in a batch; the last batch may be smaller.
        seed: Of the shuffling and the augmentation; None: the given order, no augmentation.
        augment: See `darkroom.training.augment.build.build`; needs a seed.
        workers: Processes that read ahead; 0 reads in this process. Batches do not depend on it.
        drop_last: Leave out a last batch that is not full.
        sampling: Which rows an epoch has; needs a seed. None: each row once.
        paste: Puts parts of other images into augmented ones; None: nothing.

    Raises:
        ArtifactError: The targets are masks, and some rows have none.
    """
    if augment is not None and seed is None:
        raise ValueError("augmentation needs a seed")
    if targets is not None and len(targets) != len(store):
        raise ValueError(f"{len(targets)} targets for a store of {len(store)} rows")
    if masks:
        _check_masks(store, rows, targets)
    # With a generator of its own the loader leaves torch's global random state alone.
    return Loader(
        BatchDataset(store, targets, masks=masks, augment=augment, seed=seed, paste=paste),
        batch_size=None,
        sampler=EpochSampler(rows, batch_size, seed=seed, drop_last=drop_last, sampling=sampling),
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        persistent_workers=workers > 0,
        worker_init_fn=partial(_initialise_worker, os.getpid()),
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(0),
    )


def _check_masks(store: Store, rows: Sequence[int], targets: NDArray[Any] | None) -> None:
    if targets is not None:
        raise ValueError("pass targets or masks=True, not both")
    absent = [store.ids[row] for row in rows if not store.has_mask[row]]
    if absent:
        raise ArtifactError(
            "training images have no mask in the shards",
            file=store.folder,
            found=f"{len(absent)} of {len(rows)} without, such as {absent[0]}",
            fix=remake(store.folder),
        )


@contextmanager
def lost_workers_reported(has_workers: bool) -> Iterator[None]:
    """Turn a dead DataLoader worker into a ResourceError.

    Torch raises a RuntimeError wherever the main process happens to be.

    Args:
        has_workers: Whether there are workers; then an error of a broken pipe means the same.

    Raises:
        ResourceError: A worker process died.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError, FileNotFoundError) as error:
        named = "DataLoader worker" in str(error)
        if not named and (isinstance(error, RuntimeError) or not has_workers):
            raise
        if "Bus error" in str(error):  # of a page that the file system had no room for
            raise _shared_memory_error(str(error)) from error
        raise ResourceError(
            "a loader process ended early",
            found=str(error).splitlines()[0] if named else f"DataLoader worker: {error!r}",
            fix="free memory, or use fewer workers, and run again: training resumes from its last "
            "checkpoint",
        ) from error
    except OSError as error:
        # A semaphore of a worker's queue has no name; a file on a disk has one.
        if has_workers and error.errno in DISK_FULL and error.filename is None:
            raise _shared_memory_error(str(error)) from error
        raise


def _shared_memory_error(found: str, batch_bytes: int | None = None) -> ResourceError:
    size = "its size is unknown"
    with suppress(OSError):  # not on Linux
        usage = shutil.disk_usage(SHARED_MEMORY)
        size = f"{usage.total / 2**20:,.1f} MiB, of which {usage.free / 2**20:,.1f} are free"
    return ResourceError(
        f"shared memory is too small: loader processes hand batches over in {SHARED_MEMORY}",
        details=[found.splitlines()[0]] if found else [],
        found=size,
        expected=None
        if batch_bytes is None
        else f"{3 * batch_bytes / 2**20:,.1f} MiB for each loader process: three batches",
        fix="give the container more (docker run --shm-size 8g, or --ipc host), or set "
        "train.workers: 0, or lower train.batch_size",
    )


def _initialise_worker(main_process: int, _worker: int) -> None:
    """Leave the process group of the main process, and die with the main process.

    A signal to the group must not kill the workers: the main process needs them to reach its
    next checkpoint. Should the main process die while workers start, torch does not end them: it
    watches for a change of parent, which has happened already.
    """
    if sys.platform != "win32":  # it has no process groups, and no signals to them
        os.setpgid(0, 0)
    processes.end_with_parent(main_process)


_MAX_FREE_BLOCKS = 8  # a loop needs two or three sizes, each once or twice


class Buffers:
    """A pool of memory blocks: a block returns to the pool when its last reference dies."""

    def __init__(self) -> None:
        self._free: list[NDArray[np.uint8]] = []
        # A block may die within the lock, as the garbage collector runs anywhere.
        self._returned: deque[NDArray[np.uint8]] = deque(maxlen=_MAX_FREE_BLOCKS)
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["Buffers"], tuple[()]]:
        return Buffers, ()  # memory stays in its process

    def take(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return uint8 memory of that shape, contiguous, uninitialised.

        It is not reused for as long as the array, a tensor made of it, or a view of that tensor
        lives. Views made with numpy do not count: they refer to the block behind the array.
        """
        size = math.prod(shape)
        block = self._free_block(size)
        if block is None:
            block = np.empty(size, np.uint8)
        array = block.reshape(shape)
        weakref.finalize(array, self._returned.append, block).atexit = False
        return array

    def _free_block(self, size: int) -> NDArray[np.uint8] | None:
        with self._lock:
            while self._returned:
                self._free.append(self._returned.popleft())
            del self._free[:-_MAX_FREE_BLOCKS]
            for place, block in enumerate(self._free):
                if block.size == size:
                    return self._free.pop(place)
        return None
