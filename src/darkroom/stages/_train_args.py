"""Turn the `model` and `train` sections into the arguments of networks, losses and loaders."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from darkroom.errors import DataError, ParamsError
from darkroom.images.geometry import RGB
from darkroom.index.card import Card
from darkroom.params.networks import LABEL_NAMES, MASK_NAMES
from darkroom.params.section import MOST_FOLDS, is_own_metric
from darkroom.params.train import LossOptions, Train
from darkroom.project import processes
from darkroom.project.paths import ALL, PARAMS, Fold
from darkroom.stages._inputs import mask_classes
from darkroom.stages._sampling import train_copy_paste, train_masks, train_sampling
from darkroom.store.loader import Loader, loader
from darkroom.store.store import Store
from darkroom.tasks.losses.build import balanced_mask_weights, balanced_weights, build_loss
from darkroom.tasks.metrics.epochs import EpochMetric, MaskEpochMetric
from darkroom.tasks.metrics.specs import column_weights, get_metric
from darkroom.training import distributed
from darkroom.training.augment.build import build_augmentation
from darkroom.training.device import choose_precision, training_device
from darkroom.training.fit import leaves_one

if TYPE_CHECKING:
    from darkroom.params.competition import Competition
    from darkroom.stages._context import Context

GIVEN = "given"
_MASK_METRICS = ("iou", "mean_iou", "global_dice", "mask_iou_precision")  # of counts, as Dice is
_TRAINING_PER_VALIDATION = 4  # loader processes


@contextmanager
def errors_name_the_file() -> Iterator[None]:
    """Put params.yaml before a ParamsError that does not name it.

    Networks, losses and optimizers take plain values, and do not know where these come from.
    """
    try:
        yield
    except ParamsError as error:
        if PARAMS not in str(error):
            error.args = (f"{PARAMS}: {error}",)
        raise


def check_choices(section: "Competition", task: str) -> None:
    """Refuse a network or an option that the task does not support.

    Raises:
        ParamsError: Naming the key.
    """
    model = section.model.name
    is_mask_task = task == "segmentation"
    if (model in MASK_NAMES) != is_mask_task:
        names = MASK_NAMES if is_mask_task else LABEL_NAMES
        raise ParamsError(
            f"model.name: {model} does not fit the task {task}",
            file=PARAMS,
            found=f"a network that predicts {'labels' if is_mask_task else 'masks'}",
            expected=", ".join(names[:8]) + (", …" if len(names) > 8 else ""),
            fix="edit model.name in params.yaml",
        )
    if getattr(section.model, "output", "linear") != "linear" and task != "regression":
        raise ParamsError(
            f"model.output is for regression only; the task is {task}",
            file=PARAMS,
            found=getattr(section.model, "output", None),
            fix="take output out of the model section",
        )


def fold_seed(context: "Context", fold: Fold) -> int:
    """Return the seed of a fold's weights, order of images, augmentation and dropout.

    Networks that start alike err alike, and their mean errs with them: so folds differ. Fold 0 has
    the seed of params.yaml itself, fold k 32 bits that NumPy's SeedSequence draws from both; `all`
    counts as fold 100.
    """
    own: int | None = context.section.train.seed
    seed = context.seed if own is None else own
    number = MOST_FOLDS if fold == ALL else fold
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0]) if number else seed


def choices_of_bits(train: Train, task: str) -> dict[str, Any]:
    """Return the keys of `train` that a result's bits depend on, and what the machine adds.

    How often a checkpoint is written, and how many processes read ahead, change no bit; of a
    device, its type does, whichever word chose it. Of seeds the fold's own counts.

    Raises:
        ParamsError: As of `training_device` and `choose_precision`; so is ResourceError.
    """
    device = training_device(train.accelerator)
    free = ("accelerator", "checkpoint_steps", "devices", "loggers", "precision", "seed", "workers")
    choices = {key: value for key, value in train.model_dump().items() if key not in free}
    choices |= {"device": device.type, "precision": choose_precision(train, device, task)}
    if device.type != "cuda":
        del choices["deterministic"]
    # More threads or ranks add up in another order, with other bits.
    threads = {"threads": torch.get_num_threads()} if device.type == "cpu" else {}
    return choices | threads | {"processes": distributed.world_size()}


def target_array(rows: pd.DataFrame, card: Card) -> NDArray[Any] | None:
    """Return float32 (n, K); int64 (n,) for classes; None for masks, which the shards hold.

    NaN where unknown. Soft classes are shares.
    """
    if card.task == "segmentation":
        return None
    if card.task == "multiclass" and not card.soft:
        return rows[card.targets[0]].to_numpy(np.int64)
    return rows[list(card.targets)].to_numpy(np.float32)


def require_known(targets: NDArray[Any] | None, card: Card, fold: Fold) -> None:
    """Raise DataError if the images to learn from know no value of a target.

    Args:
        targets: Theirs, of `target_array`.
        card: Which names them.
        fold: That they are the training images of.
    """
    if targets is None or targets.dtype.kind != "f":
        return
    unknown = np.isnan(targets).all(axis=0)
    if unknown.any():
        names = [name for name, is_unknown in zip(card.targets, unknown, strict=True) if is_unknown]
        raise DataError(
            f"fold {fold} can't be trained: its training images have no known value of {names[0]}",
            found=f"{len(targets)} training images; unknown in all: {', '.join(names[:20])}",
            expected="one known value or more of each target",
            fix="split otherwise (split.by, split.folds, seed), or remove the target from "
            "data.train.targets",
        )


def network_arguments(
    section: "Competition",
    card: Card,
    train_targets: NDArray[Any] | None,
    first_weights: str,
    *,
    size: tuple[int, int],
    channels: int = RGB,
) -> dict[str, Any]:
    """Return the arguments of `build_network`, but for the seed.

    Args:
        section: The competition's.
        card: Its task and targets.
        train_targets: Their spread scales a regression's outputs.
        first_weights: The file of weights for `weights: given`.
        size: Height and width of the stored images, px.
        channels: Of the images.
    """
    arguments = section.model.model_dump()
    if arguments["name"] == "timm":
        arguments["size"] = list(size)
    if arguments["weights"] == GIVEN:
        arguments["weights"] = first_weights
    if card.task == "regression":
        assert train_targets is not None
        spread = np.nanstd(train_targets.astype(np.float64), axis=0)
        arguments["shift"] = np.nanmean(train_targets.astype(np.float64), axis=0).tolist()
        arguments["scale"] = np.where(spread > 0, spread, 1.0).tolist()
    else:
        arguments.pop("output", None)
    outputs = {
        "segmentation": card.planes + card.background,
        "multiclass": len(card.classes),
    }
    arguments |= {"outputs": outputs.get(card.task, len(card.targets))}
    return arguments if channels == RGB else arguments | {"channels": channels}


def train_loss(
    train: Train,
    card: Card,
    train_targets: NDArray[Any] | None,
    scale: Sequence[float] | None,
    masks: Iterator[NDArray[np.uint8]],
    share: float | None = None,
) -> nn.Module:
    """Return the loss.

    Args:
        train: Its loss, and how classes are weighed.
        card: The task, and how mask classes share the pixels.
        train_targets: Of the images learned from; None for masks.
        scale: One of `network_arguments`.
        masks: Of the images learned from, uint8 (n, K or K + 1, H, W); read where classes are
            balanced.
        share: Of the targets that is known; see `known_share`.
    """
    choice: str | Mapping[str, float | Mapping[str, float]]
    if isinstance(train.loss, str):
        choice = train.loss
    else:
        choice = {
            name: options.model_dump(exclude_none=True)
            if isinstance(options, LossOptions)
            else options
            for name, options in train.loss.items()
        }
    weights = train.class_weights
    if weights == "balanced" and card.task == "segmentation":
        weights = balanced_mask_weights(*_mask_counts(masks, card.planes))
    elif weights == "balanced":
        targets = np.empty(0) if train_targets is None else train_targets
        weights = balanced_weights(card.task, targets, classes=len(card.classes) or None)
    return build_loss(
        card.task,
        choice,
        label_smoothing=train.label_smoothing,
        class_weights=weights,
        scale=scale,
        mask_classes=mask_classes(card),
        known_share=share,
    )


def _mask_counts(
    masks: Iterator[NDArray[np.uint8]], planes: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pixels of each class, and the images that show it, both int64 (K,)."""
    by_image = [batch[:, :planes].sum(axis=(2, 3), dtype=np.int64) for batch in masks]
    counts = np.concatenate(by_image)
    return counts.sum(axis=0), np.count_nonzero(counts, axis=0).astype(np.int64)


def known_share(targets: NDArray[Any] | None) -> float | None:
    """Return the share of the targets that is known; None if all are.

    Example:
        >>> known_share(np.array([[1.0, np.nan]]))
        0.5
    """
    if targets is None or targets.dtype.kind != "f":
        return None
    share = float(1 - np.isnan(targets).mean())
    return share if 0 < share < 1 else None


def epoch_metric(card: Card, val_targets: NDArray[Any] | None) -> EpochMetric | None:
    """Return the metric by which epochs are compared; None: the first of the task's.

    Epochs of metrics of objects and of stacks are compared by Dice: their own take too long.

    Args:
        card: What the judge counts.
        val_targets: Of the images to validate on.

    Raises:
        ParamsError: There is no such metric for the task.
        DataError: The metric is not defined for these images.
    """
    spec = get_metric(card.metric, card.task)
    if spec.name in _MASK_METRICS:
        return MaskEpochMetric(spec, card.task, classes=mask_classes(card))
    if not card.metric or card.metric == "accuracy" or val_targets is None:
        return None
    if is_own_metric(card.metric) and distributed.rank() == 0:  # it may take its time
        print(f"scoring with {card.metric}", file=sys.stderr)
    metric = EpochMetric(spec, card.task, column_weights(spec, card.outputs, card.weights))
    # What the truth does not allow is better known before an epoch is trained.
    constant = np.broadcast_to(np.float32(0.5), (len(val_targets), len(card.outputs)))
    metric.score(val_targets, constant)
    return metric


def train_loaders(
    shards: Store,
    train_rows: Sequence[int],
    val_rows: Sequence[int],
    targets: NDArray[Any] | None,
    train: Train,
    card: Card,
    seed: int,
    *,
    pseudo_labelled: int = 0,
) -> tuple[Loader, Loader]:
    """Return the training loader, sampled, shuffled and augmented, and the validation loader.

    The last `pseudo_labelled` training rows have pseudo-labels.
    """
    size, masks = train.batch_size, targets is None
    workers = _workers(train.workers)
    augmentation = build_augmentation(
        train.augment,
        crop=None if train.crop is None else (train.crop[0], train.crop[1]),
        planes=shards.planes if masks else 0,
        size=(shards.height, shards.width),
        channels=shards.channels,
        classes=card.planes,
        erase=train.erase,
    )
    paste = train_copy_paste(train, card, train_rows, train_masks(shards, train_rows))
    train_loader = loader(
        shards,
        train_rows,
        targets,
        masks=masks,
        batch_size=size,
        seed=seed,
        augment=augmentation if augmentation.changes_pixels or paste is not None else None,
        workers=workers,
        drop_last=leaves_one(len(train_rows), size),
        sampling=train_sampling(
            train,
            card,
            None if targets is None else targets[train_rows],
            train_masks(shards, train_rows),
            (len(train_rows) - pseudo_labelled, pseudo_labelled),
        ),
        paste=paste,
    )
    # They sit idle while training's work, and have no images to augment.
    val_workers = -(-workers // _TRAINING_PER_VALIDATION)
    val_loader = loader(
        shards, val_rows, targets, masks=masks, batch_size=size, seed=None, workers=val_workers
    )
    return train_loader, val_loader


def _workers(workers: int | str) -> int:
    """Return the number of loader processes of this rank: its share of the machine's.

    "auto": none without a GPU, where they would compete with the training for cores.
    """
    if isinstance(workers, str):
        workers = min(8, processes.cores()) if torch.cuda.is_available() else 0
    return -(-workers // distributed.local_world_size())
