"""The callbacks that fill TensorBoard's tabs.

The x axis is always the number of training batches seen. So a training that resumes at batch p
hides what the interrupted one wrote later, with `purge_step=p + 1`. Between two epochs no callback
holds anything that a checkpoint would need.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from darkroom.store.loader import BatchDataset, Loader
from darkroom.tasks.planes import OVERLAPPING, MaskClasses
from darkroom.tasks.table import get_task
from darkroom.training.callbacks import Callback
from darkroom.training.tensorboard.confusion import Confusion
from darkroom.training.tensorboard.curves import Curves
from darkroom.training.tensorboard.graph import Graph
from darkroom.training.tensorboard.hparams import Hparams
from darkroom.training.tensorboard.pictures import Pictures
from darkroom.training.tensorboard.scalars import Scalars, Throughput
from darkroom.training.tensorboard.worst import Worst
from darkroom.training.tensorboard.writer import EventWriter

MASK_IMAGES, LABEL_IMAGES = 4, 8  # on a page


def callbacks(
    log_dir: Path,
    task: str,
    loader: Loader,
    *,
    names: Sequence[str] = (),
    hyperparameters: Mapping[str, object] | None = None,
    pictures: int | None = None,
    worst: int | None = None,
    classes: MaskClasses = OVERLAPPING,
) -> list[Callback]:
    """Return the callbacks for `darkroom.training.fit.fit` that fill every tab of TensorBoard.

    Args:
        log_dir: Of the event file.
        task: A name of `darkroom.tasks.table.TASKS`.
        loader: The validation loader; without images nothing of them is drawn.
        names: Of the classes, labels or values; those without a name are shown by number.
        hyperparameters: For the table of runs; see `hparams.Hparams`.
        pictures: How many validation images a page shows, always the same; 0: none;
            None: 4 with masks, which take a row each, else 8.
        worst: How many of an epoch's worst validation images a page shows; likewise.
        classes: How mask classes share the pixels.
    """
    target, events = get_task(task, classes=classes), EventWriter(log_dir)
    default = MASK_IMAGES if target.masks else LABEL_IMAGES
    all_callbacks: list[Callback] = [events, Graph(events, _batch_shape(loader)), Scalars(events)]
    if not len(loader):
        return [*all_callbacks, Hparams(events, hyperparameters or {}), Throughput(events)]
    if pictures != 0:
        all_callbacks.append(Pictures(events, pictures or default, loader, names))
    if worst != 0:
        all_callbacks.append(Worst(events, worst or default, names))
    if target.name != "regression":
        all_callbacks += [Curves(events, target, names), Confusion(events, target, names)]
    # Last, so that the time of the other callbacks does not count as waiting.
    return [*all_callbacks, Hparams(events, hyperparameters or {}), Throughput(events)]


def _batch_shape(loader: Loader) -> tuple[int, int, int, int]:
    source = loader.dataset
    assert isinstance(source, BatchDataset)
    store = source.store
    return loader.sampler.batch_size, store.channels, store.height, store.width
