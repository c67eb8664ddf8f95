"""The `model` and `train` sections as plain values for what builds networks and trains them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from darkroom.errors import ParamsError
from darkroom.index.table import Card
from darkroom.models.names import LABEL_NAMES, MASK_NAMES
from darkroom.params.train import LossOptions, Train
from darkroom.project import processes
from darkroom.project.paths import PARAMS
from darkroom.store.loader import Loader, loader
from darkroom.store.store import Store
from darkroom.tasks.losses.build import balanced_weights, build_loss
from darkroom.training import distributed
from darkroom.training.augment.build import build_augmentation
from darkroom.training.augment.mixup import Mixup
from darkroom.training.fit import leaves_one

if TYPE_CHECKING:
    from darkroom.params.competition import Competition

GIVEN = "given"


def check_choices(section: "Competition", task: str) -> None:
    """Refuse a network or a choice that the task has no use for.

    Raises:
        ParamsError: Naming the key.
    """
    model, train = section.model.name, section.train
    masks = task == "segmentation"
    if (model in MASK_NAMES) != masks:
        fitting = MASK_NAMES if masks else LABEL_NAMES
        raise ParamsError(
            f"model.name: {model} does not fit the task {task}",
            file=PARAMS,
            found=f"a network that predicts {'labels' if masks else 'masks'}",
            expected=", ".join(fitting[:8]) + (", …" if len(fitting) > 8 else ""),
            fix="edit model.name in params.yaml",
        )
    for key, asked in (("mixup", train.mixup), ("cutmix", train.cutmix)):
        if asked and task in ("segmentation", "regression"):
            raise ParamsError(
                f"train.{key} means nothing for the task {task}",
                file=PARAMS,
                found=asked,
                fix=f"take {key} out of the train section",
            )
        if asked and train.batch_size // train.devices < 2:
            raise ParamsError(
                f"train.{key} mixes the images of a batch, and finds a single one on each device",
                file=PARAMS,
                found=f"batch_size {train.batch_size}, devices {train.devices}",
                expected="two images or more on each device",
                fix=f"raise batch_size, or take {key} out of the train section",
            )
    if getattr(section.model, "output", "linear") != "linear" and task != "regression":
        raise ParamsError(
            f"model.output shapes the numbers of a regression; the task is {task}",
            file=PARAMS,
            found=getattr(section.model, "output", None),
            fix="take output out of the model section",
        )


def target_array(rows: pd.DataFrame, card: Card) -> NDArray[Any] | None:
    """Return float32 (n, K), for classes int64 (n,), or None for masks, which shards hold."""
    if card.task == "segmentation":
        return None
    if card.task == "multiclass":
        return rows[card.targets[0]].to_numpy(np.int64)
    return rows[list(card.targets)].to_numpy(np.float32)


def network_arguments(
    section: "Competition", card: Card, learned: NDArray[Any] | None, first_weights: str
) -> dict[str, Any]:
    """Return the arguments of `build_network`, but for the seed.

    Args:
        section: Of the competition.
        card: What the targets are.
        learned: The targets to learn from, whose spread scales a regression's outputs.
        first_weights: Where the weights that are given lie.
    """
    arguments = section.model.model_dump()
    if arguments["weights"] == GIVEN:
        arguments["weights"] = first_weights
    if card.task == "regression":
        assert learned is not None
        spread = learned.astype(np.float64).std(axis=0)
        arguments["shift"] = learned.astype(np.float64).mean(axis=0).tolist()
        arguments["scale"] = np.where(spread > 0, spread, 1.0).tolist()
    else:
        arguments.pop("output", None)
    outputs = {"segmentation": 1, "multiclass": len(card.classes)}
    return arguments | {"outputs": outputs.get(card.task, len(card.targets))}


def train_loss(
    train: Train, card: Card, learned: NDArray[Any] | None, scale: Sequence[float] | None
) -> nn.Module:
    """Return the loss; see `network_arguments` for the arguments, of which `scale` is one."""
    chosen: str | Mapping[str, float | Mapping[str, float]]
    if isinstance(train.loss, str):
        chosen = train.loss
    else:
        chosen = {
            name: options.model_dump(exclude_none=True)
            if isinstance(options, LossOptions)
            else options
            for name, options in train.loss.items()
        }
    weights = train.class_weights
    if weights == "balanced":
        shown = np.empty(0) if learned is None else learned
        weights = balanced_weights(card.task, shown, classes=len(card.classes) or None)
    return build_loss(
        card.task,
        chosen,
        label_smoothing=train.label_smoothing,
        class_weights=weights,
        scale=scale,
    )


def train_mixup(train: Train, card: Card) -> Mixup | None:
    """Return what mixes the pictures of a batch, if anything does."""
    return Mixup(train.mixup, train.cutmix, len(card.classes) or None) or None


def train_loaders(
    shards: Store,
    learning: Sequence[int],
    validating: Sequence[int],
    targets: NDArray[Any] | None,
    train: Train,
    seed: int,
) -> tuple[Loader, Loader]:
    """Return the loaders of the rows to learn from, shuffled and augmented, and to validate on."""
    size, masks = train.batch_size, targets is None
    workers = _workers(train.workers)
    crop = None if train.crop is None else (train.crop[0], train.crop[1])
    learn = loader(
        shards,
        learning,
        targets,
        masks=masks,
        batch_size=size,
        seed=seed,
        augment=build_augmentation(
            train.augment, crop=crop, masks=masks, size=(shards.height, shards.width)
        ),
        workers=workers,
        drop_last=leaves_one(len(learning), size),
    )
    validate = loader(
        shards, validating, targets, masks=masks, batch_size=size, seed=None, workers=workers
    )
    return learn, validate


def _workers(workers: int | str) -> int:
    """Return the loader processes of this rank: its share of those of the machine.

    "auto": a CPU has no core to spare for them, a GPU waits for them.
    """
    if isinstance(workers, str):
        workers = min(8, processes.cores()) if torch.cuda.is_available() else 0
    return -(-workers // distributed.local_world_size())
