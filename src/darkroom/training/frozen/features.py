"""Keep the features of images that no epoch changes, while a frozen backbone does not learn.

With a frozen backbone and no augmentation each epoch would compute the same features. Here they
are computed once, into a file beside the checkpoint, and an epoch trains and validates the layers
after the backbone alone. What an image's features are depends on how many images are in the batch,
as kernels add up in another order; so they are computed in batches of the size in which they are
used. With one thread on a CPU they do not depend on which images those are, and the result has the
same bits; with several threads the last digits may differ (docs/performance.md). What is computed,
and in which batches, follows from the arguments alone: a training repeats and resumes to its bits.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from darkroom.images.codec import Pixels
from darkroom.params.train import FitConfig
from darkroom.project.journal import HEAD_BYTES, Journal
from darkroom.store.loader import Batch, BatchDataset, Loader, loader
from darkroom.store.store import Store
from darkroom.training import distributed
from darkroom.training.signals import DeferredSignals

if TYPE_CHECKING:
    from darkroom.training.module import TrainModule

_FILE = "features.bin"
_TRIED = 4  # images on which a network's tail is looked for
_VALIDATION = 0  # the key of a table: others have the size of their training batches

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class FeatureBatch(Batch):
    """A batch whose images have been through the backbone: `images` are its features (N, D).

    Attributes:
        store: Of the pictures.
        rows: N, of the store.
    """

    store: Store
    rows: tuple[int, ...]

    def picture(self, place: int) -> Pixels:
        """Return one of its images, uint8 (H, W, C)."""
        return self.store.image(self.rows[place])


@dataclass(frozen=True)
class _Table:
    """Features of rows, computed in batches of one size.

    Attributes:
        rows: In the order of the file; some come twice, so that all batches are full.
        size: Of a batch.
        first: The number of its first batch in the file.
        places: int64 (len(store),), each row's place in `rows`; -1: it is not there.
    """

    rows: Ints
    size: int
    first: int
    places: Ints

    @property
    def batches(self) -> int:
        return -(-len(self.rows) // self.size)

    def at(self, rows: tuple[int, ...]) -> tuple[Ints, Ints]:
        """Return in which batches of the file rows are, and at which place of them."""
        batches, places = np.divmod(self.places[list(rows)], self.size)
        return batches + self.first, places


class KeptFeatures:
    """The features of the images to learn from and to validate on, in a file.

    Args:
        train: The training loader, without augmentation.
        val: The validation loader, of the same store.
        path: The file; what an earlier run computed with the same backbone is not computed again.
        module: With a tail, in the state of a frozen epoch.
        epochs: In how many the backbone is frozen.
    """

    def __init__(
        self, train: Loader, val: Loader, path: Path, module: "TrainModule", epochs: int
    ) -> None:
        assert module.tail is not None
        self.train, self.val, self.path, self.module = train, val, path, module
        self.tail = module.tail
        self.store = _dataset(train).store
        self._tables = dict(self._plan(epochs))
        self._head = _identity(self)
        self._features: NDArray[Any] | None = None

    def _plan(self, epochs: int) -> Iterator[tuple[int, _Table]]:
        """Yield the tables and their keys, in the order of the file."""
        sampler = self.train.sampler
        full, rows, first = sampler.batch_size, np.unique(sampler.rows), 0
        sizes = [full] if len(sampler.rows) >= full else []
        rest = len(sampler.rows) % full if len(self.train) * full > len(sampler.rows) else 0
        # An epoch's last batch has fewer images. Where there are few epochs, the backbone computes
        # these each time.
        sizes += [rest] if rest * epochs > len(rows) else []
        for size in sizes:
            table = self._table(np.resize(rows, -(-len(rows) // size) * size), size, first)
            first += table.batches
            yield size, table
        if len(self.val):  # in their order: each batch is the same in all epochs
            rows, size = self.val.sampler.rows, self.val.sampler.batch_size
            yield _VALIDATION, self._table(rows, size, first)

    def _table(self, rows: Ints, size: int, first: int) -> _Table:
        places = np.full(len(self.store), -1, np.int64)
        places[rows[::-1]] = np.arange(len(rows))[::-1]
        return _Table(rows, size, first, places)

    def compute(self, signals: DeferredSignals, *, progress: bool = False) -> None:
        """Compute what the file lacks, and open it.

        Args:
            signals: That ask to stop; what was computed so far stays.
            progress: Whether stderr gets a line, and a terminal a bar.

        Raises:
            DarkroomError: As of the loader.
            SystemExit, KeyboardInterrupt: A signal came.
        """
        journal = Journal(self.path)
        if next(iter(journal), self._head) != self._head:  # of another backbone, or other images
            self.path.unlink()
            journal = Journal(self.path)
        if not len(journal):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            journal.append(self._head)
        total = sum(table.batches for table in self._tables.values())
        if progress and len(journal) - 1 < total:
            images = len(np.unique(np.concatenate([t.rows for t in self._tables.values()])))
            print(
                f"computing features of {images:,} images once: the backbone is frozen, and "
                "nothing changes pixels",
                file=sys.stderr,
            )
        hide = not (progress and sys.stderr.isatty())
        with tqdm(total=total, unit="batch", leave=False, disable=hide) as bar:
            for table in self._tables.values():
                for features in self._computed(table, len(journal) - 1 - table.first):
                    journal.append(self._padded(features))
                    bar.update()
                    signals.obey()
        self._open(total)

    def _computed(self, table: _Table, done: int) -> Iterator[Tensor]:
        """Yield the features of a table's batches but for the first ones, which are done."""
        reader = loader(
            self.store,
            table.rows.tolist(),
            None,
            masks=False,
            batch_size=table.size,
            seed=None,
            workers=self.train.num_workers if done < table.batches else 0,
        )
        reader.start(0, min(max(done, 0), table.batches))
        try:
            for batch in reader:
                yield self.module.features(self.module.to_device(batch).images)
        finally:
            reader.close()

    @property
    def _slots(self) -> int:
        """Rows of a part of the file: all are of the greatest size."""
        return max(table.size for table in self._tables.values())

    def _padded(self, features: Tensor) -> bytes:
        part = torch.zeros((self._slots, self.tail.width), dtype=self.tail.dtype)
        part[: len(features)] = features.cpu()
        return part.view(torch.uint8).numpy().tobytes()

    def _open(self, batches: int) -> None:
        """Map the file into memory: the system reads and drops its pages as it can."""
        width = self.tail.width * self.tail.dtype.itemsize
        part = self._slots * width
        content = np.memmap(self.path, np.uint8, mode="r")
        self._features = np.ndarray(
            (batches, self._slots, width),
            np.uint8,
            buffer=content,
            offset=HEAD_BYTES + len(self._head) + HEAD_BYTES,
            strides=(part + HEAD_BYTES, width, 1),
        )

    def batches(self, batches_of: Loader) -> Iterator[Batch]:
        """Yield the batches that one of the two loaders would, with features in place of images.

        Those of a size that has no table come with images.
        """
        assert self._features is not None, "not computed"
        dataset = _dataset(batches_of)
        assert dataset.targets is not None
        for request in batches_of.sampler:
            rows = request.rows
            table = self._tables.get(_VALIDATION if batches_of is self.val else len(rows))
            if table is None:
                yield dataset.read_batch(request)
                continue
            features = torch.from_numpy(self._features[table.at(rows)]).view(self.tail.dtype)
            yield FeatureBatch(
                ids=[self.store.ids[row] for row in rows],
                images=features,
                targets=torch.from_numpy(dataset.targets[list(rows)]),
                originals=torch.from_numpy(self.store.originals[list(rows)].astype(np.int64)),
                store=self.store,
                rows=rows,
            )


def keep_features(
    module: "TrainModule",
    train: Loader,
    val: Loader,
    config: FitConfig,
    folder: Path,
    *,
    epoch: int,
) -> KeptFeatures | None:
    """Return what keeps features in a folder; None: they change, or are no vector, or of one epoch.

    Features are kept of labels and values, in one process, where nothing changes pixels: no
    augmentation, no mixing. The layers after the backbone must be a `Tail`.

    Args:
        module: Its tail is set.
        train: The training loader.
        val: The validation loader.
        config: Which epochs are frozen, and whether the network is compiled.
        folder: For the file.
        epoch: The one that comes next, from 0.
    """
    first, second = _dataset(train), _dataset(val)
    changes = (first.augment, first.paste, second.augment, module.mixup)
    is_plain = (
        first.targets is not None
        and second.targets is not None
        and first.store is second.store
        and all(change is None for change in changes)
    )
    is_one = not config.compile and distributed.world_size() == 1
    if not (is_plain and is_one and config.frozen_epochs > 1 and epoch < config.frozen_epochs):
        return None
    module.start_epoch(frozen=True)
    rows = tuple(np.unique(train.sampler.rows)[:_TRIED].tolist())
    sample = loader(first.store, rows, None, masks=False, batch_size=len(rows), seed=None)
    module.find_tail(module.to_device(next(iter(sample))).images)
    if module.tail is None:
        return None
    return KeptFeatures(train, val, folder / _FILE, module, config.frozen_epochs)


def _identity(kept: KeptFeatures) -> bytes:
    """Return the digest of all that the features in the file depend on."""
    module, digest = kept.module, hashlib.blake2b(digest_size=32)
    learned = {name for name, p in module.net.named_parameters() if p.requires_grad}
    for name, value in module.net.state_dict().items():
        if name not in learned:
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    facts = [
        sorted(kept.store.digests.items()),
        *([table.size, kept.tail.width] for table in kept._tables.values()),
        *(str(each) for each in (kept.tail.dtype, module.device.type, module.amp_dtype)),
        *(module.mean, module.std, module.channels_last),
    ]
    digest.update(json.dumps(facts, default=str).encode())
    for table in kept._tables.values():
        digest.update(table.rows.tobytes())
    return digest.digest()


def _dataset(reader: Loader) -> BatchDataset:
    assert isinstance(reader.dataset, BatchDataset)
    return reader.dataset
