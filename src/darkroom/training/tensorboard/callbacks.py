"""What TensorBoard is told of a training: callbacks, one idea a module.

The x axis of everything is the number of training batches seen, so that a training which goes
on from position p hides what an interrupted one wrote later, with `purge_step=p + 1`. No
callback draws a random number or touches the network: training has the same bits without them.
Between two epochs none holds anything that a checkpoint would have to keep.
"""

from collections.abc import Mapping, Sequence

from lightning.pytorch import Callback

from darkroom.store.loader import BatchDataset, Loader
from darkroom.store.sampler import EpochSampler
from darkroom.tasks.table import TASKS
from darkroom.training.tensorboard.confusion import Confusion
from darkroom.training.tensorboard.curves import Curves
from darkroom.training.tensorboard.graph import Graph
from darkroom.training.tensorboard.hparams import Hparams
from darkroom.training.tensorboard.pictures import Pictures
from darkroom.training.tensorboard.scalars import Scalars
from darkroom.training.tensorboard.throughput import Throughput
from darkroom.training.tensorboard.worst import Worst

__all__ = ["callbacks"]

MASKS, LABELLED = 4, 8  # pictures on a page


def callbacks(
    task: str,
    loader: Loader,
    *,
    names: Sequence[str] = (),
    facts: Mapping[str, object] | None = None,
    pictures: int | None = None,
    worst: int | None = None,
) -> list[Callback]:
    """Return what `darkroom.training.fit.fit` takes to fill every tab of TensorBoard.

    Args:
        task: A name of `darkroom.tasks.table.TASKS`.
        loader: The validation loader.
        names: Of the classes, of the labels or of the values; numbers stand where there are none.
        facts: Hyperparameters for the table of runs; see `tensorboard.hparams.Hparams`.
        pictures: How many validation images to draw every epoch, always the same; 0 for none;
            None: 4 with masks, which take a row each, else 8.
        worst: How many of the epoch's worst validation images to draw; likewise.
    """
    kind = TASKS[task]
    usual = MASKS if kind.masks else LABELLED
    parts: list[Callback] = [Graph(_shape(loader)), Scalars()]
    if pictures != 0:
        parts.append(Pictures(pictures or usual, loader, names))
    if worst != 0:
        parts.append(Worst(worst or usual, names))
    if kind.name != "regression":
        parts += [Curves(kind, names), Confusion(kind, names)]
    # Last, so that the time the others take is not taken for waiting.
    return [*parts, Hparams(facts or {}), Throughput()]


def _shape(loader: Loader) -> tuple[int, int, int, int]:
    """Return that of a batch of images."""
    sampler, source = loader.sampler, loader.dataset
    assert isinstance(sampler, EpochSampler)
    assert isinstance(source, BatchDataset)
    return sampler.batch_size, 3, source.store.height, source.store.width
