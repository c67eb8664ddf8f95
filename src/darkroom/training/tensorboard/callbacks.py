"""Every tab of TensorBoard: the callbacks that fill it, one idea a module.

The x axis of everything is the number of training batches seen, so that a training which resumes
at batch p hides what an interrupted one wrote later, with `purge_step=p + 1`. No callback draws a
random number or changes the network: a training has the same bits without them. Between two
epochs none holds anything that a checkpoint would have to keep.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from darkroom.store.loader import BatchDataset, Loader
from darkroom.tasks.table import TASKS
from darkroom.training.callbacks import Callback
from darkroom.training.tensorboard.confusion import Confusion
from darkroom.training.tensorboard.curves import Curves
from darkroom.training.tensorboard.graph import Graph
from darkroom.training.tensorboard.hparams import Hparams
from darkroom.training.tensorboard.pictures import Pictures
from darkroom.training.tensorboard.scalars import Scalars, Throughput
from darkroom.training.tensorboard.worst import Worst
from darkroom.training.tensorboard.writer import EventWriter

MASKS, LABELLED = 4, 8  # pictures on a page


def callbacks(
    log_dir: Path,
    task: str,
    loader: Loader,
    *,
    names: Sequence[str] = (),
    hyperparameters: Mapping[str, object] | None = None,
    pictures: int | None = None,
    worst: int | None = None,
) -> list[Callback]:
    """Return what `darkroom.training.fit.fit` takes to fill every tab of TensorBoard.

    Args:
        log_dir: Gets the event file; what an interrupted run wrote too many is hidden there.
        task: A name of `darkroom.tasks.table.TASKS`.
        loader: The validation loader.
        names: Of the classes, of the labels or of the values; numbers stand where there are none.
        hyperparameters: For the table of runs; see `hparams.Hparams`.
        pictures: How many validation images to draw every epoch, always the same; 0 for none;
            None: 4 with masks, which take a row each, else 8.
        worst: How many of the epoch's worst validation images to draw; likewise.
    """
    kind, events = TASKS[task], EventWriter(log_dir)
    usual = MASKS if kind.masks else LABELLED
    parts: list[Callback] = [events, Graph(events, _batch_shape(loader)), Scalars(events)]
    if pictures != 0:
        parts.append(Pictures(events, pictures or usual, loader, names))
    if worst != 0:
        parts.append(Worst(events, worst or usual, names))
    if kind.name != "regression":
        parts += [Curves(events, kind, names), Confusion(events, kind, names)]
    # Last, so that the time of the other callbacks does not count as waiting.
    return [*parts, Hparams(events, hyperparameters or {}), Throughput(events)]


def _batch_shape(loader: Loader) -> tuple[int, int, int, int]:
    source = loader.dataset
    assert isinstance(source, BatchDataset)
    return loader.sampler.batch_size, 3, source.store.height, source.store.width
