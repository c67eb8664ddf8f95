"""Learn one batch by heart: whether network, loss and labels fit together.

A network that cannot learn a few images without augmentation learns no data set either (Karpathy
2019, A Recipe for Training Neural Networks). What keeps a training from learning by heart is off:
augmentation, Mixup, dropout, weight decay, frozen layers.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from darkroom.errors import DataError
from darkroom.models.build import MEAN, STD
from darkroom.params.train import FitConfig
from darkroom.store.loader import Loader
from darkroom.training.device import choose_precision, training_device
from darkroom.training.fit import Objective, training_loop
from darkroom.training.module import Metrics, targets_of
from darkroom.training.trials.steps import Step, take_steps, trial_config

IMAGES = 8
STEPS = 200
WARMUP_STEPS = 10  # Adam's first steps are as long as the rate, whatever the gradient
NEAR = 0.05  # of the way from the first loss to the least possible one that may be left
CERTAIN = 30.0  # a logit whose sigmoid is 1 in float32
FACTORS = (1.0, 0.1, 10.0)  # on the rate, tried in turn


@dataclass(frozen=True)
class Attempt:
    """A batch learned at one rate, or not.

    Attributes:
        lr: The learning rate.
        steps: Taken, with the loss of each.
        floor: The loss of perfect answers.
        metrics: Of the last step, as of `darkroom.training.module.Totals.means`.
        learned: Whether the loss came near its floor.
    """

    lr: float
    steps: list[Step]
    floor: float
    metrics: Metrics
    learned: bool


def overfit(
    net: nn.Module,
    batch_loader: Loader,
    config: FitConfig,
    *,
    outputs: int,
    objective: Objective,
    seed: int,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
) -> Iterator[Attempt]:
    """Yield attempts at the learning rate, at a tenth and at ten times of it, until one learns.

    Each begins with the network's first weights; `net` keeps them.

    Args:
        net: From `darkroom.models.build.build_network`.
        batch_loader: Of one batch.
        config: The training's own.
        outputs: How many logits the network has.
        objective: Its loss should smooth no labels.
        seed: Of the order of images and of random windows, the same ones in each step.
        mean, std: Of the normalisation.

    Raises:
        DarkroomError: As of a training.
    """
    for factor in FACTORS:
        tried = copy.deepcopy(net)
        _switch_off_dropout(tried)
        lr = config.lr * factor
        changes = {"lr": lr, "weight_decay": 0.0, "accumulate": 1, "freeze": "none"}
        attempt = _attempt(
            tried,
            batch_loader,
            trial_config(config, unfreeze_epoch=None, **changes),
            outputs,
            objective,
            seed,
            mean,
            std,
        )
        yield attempt
        if attempt.learned:
            return


def _attempt(
    net: nn.Module,
    batch_loader: Loader,
    config: FitConfig,
    outputs: int,
    objective: Objective,
    seed: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> Attempt:
    precision = choose_precision(config, training_device(config.accelerator), objective.task)
    with training_loop(
        net,
        batch_loader,
        batch_loader,
        config,
        objective=objective,
        precision=precision,
        seed=seed,
        mean=mean,
        std=std,
    ) as (loop, signals):
        batch_loader.start(0)
        targets = targets_of(loop.module.to_device(next(iter(batch_loader))))
        perfect = perfect_outputs(targets, outputs, objective)
        floor = float(loop.module.loss(perfect, targets))
        steps = take_steps(
            loop,
            signals,
            STEPS,
            lr_of=lambda step: config.lr * min(1.0, (step + 1) / WARMUP_STEPS),
            is_enough=lambda done: _is_near(done, floor),
            title=f"one batch at lr {config.lr:g}",
            same_epoch=True,
        )
        metrics = loop.totals.means("train")
    return Attempt(config.lr, steps, floor, metrics, _is_near(steps, floor))


def _is_near(steps: Sequence[Step], floor: float) -> bool:
    """Return whether the last loss is within 5 % of the way that it had to go."""
    return steps[-1].loss - floor <= NEAR * abs(steps[0].loss - floor)


def perfect_outputs(targets: Tensor, outputs: int, objective: Objective) -> Tensor:
    """Return what a network must answer to be right about all targets, float32.

    Args:
        targets: Of a batch; see `darkroom.store.loader.Batch`.
        outputs: How many logits.
        objective: Its task, and how mask classes share the pixels.

    Example:
        >>> perfect_outputs(torch.tensor([2]), 3, Objective("multiclass"))
        tensor([[-30., -30.,  30.]])
    """
    if objective.task == "segmentation":
        classes = objective.classes
        masks, _ = classes.split_unknown(targets, outputs - classes.background)
        if classes.background:
            masks = torch.cat([1 - masks.amax(dim=1, keepdim=True), masks], dim=1)
        return CERTAIN * (2 * masks.float() - 1)
    if objective.task == "multiclass" and targets.ndim == 1:
        return CERTAIN * (2 * nn.functional.one_hot(targets, outputs).float() - 1)
    values = targets.float().nan_to_num(0.0)
    if objective.task == "regression":
        return values
    if objective.task == "multiclass":  # shares
        return values.clamp(min=math.exp(-CERTAIN)).log()
    return torch.logit(values.double(), eps=math.exp(-CERTAIN)).float()


def _switch_off_dropout(net: nn.Module) -> None:
    """Let a network leave nothing out: neither values nor layers (stochastic depth)."""
    for module in net.modules():
        if "drop" in type(module).__name__.lower() or type(module).__name__ == "StochasticDepth":
            for share in ("p", "drop_prob"):
                if hasattr(module, share):
                    setattr(module, share, 0.0)
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0


def choose_rows(targets: NDArray[Any], rows: Sequence[int], count: int = IMAGES) -> list[int]:
    """Return rows whose targets differ as much as they can, in their order.

    Args:
        targets: (n,) or (n, K), by row.
        rows: To choose from.
        count: At most so many.

    Example:
        >>> choose_rows(np.array([0, 0, 0, 1, 1, 2]), range(6), 3)
        [0, 3, 5]
    """
    own = np.nan_to_num(targets[list(rows)].reshape(len(rows), -1).astype(np.float64))
    _, firsts = np.unique(own, axis=0, return_index=True)  # sorted by target
    if len(firsts) > count:  # as of measures: from the least to the greatest
        firsts = firsts[np.linspace(0, len(firsts) - 1, count).round().astype(int)]
    rest = np.setdiff1d(np.arange(len(rows)), firsts)
    places = np.sort(np.concatenate([firsts, rest[: max(0, count - len(firsts))]]))
    return [rows[int(place)] for place in places]


def choose_masks(
    masks: Iterator[NDArray[np.uint8]], rows: Sequence[int], planes: int, count: int = IMAGES
) -> list[int]:
    """Return the first rows whose masks hold both something and nothing, in their order.

    Fewer are filled up with others. No more masks are read than it takes.

    Args:
        masks: Of the rows, uint8 (n, K or K + 1, H, W), some at a time.
        rows: To choose from.
        planes: K.
        count: At most so many.

    Raises:
        DataError: The masks of all rows are empty, or full: their scale is wrong.
    """
    mixed: list[int] = []
    total, full = 0, 0
    for batch in masks:
        shown = batch[:, :planes].any(axis=1).reshape(len(batch), -1)
        shares = shown.mean(axis=1)
        of_classes = batch[:, :planes].mean(axis=(2, 3)) if planes > 1 else shares[:, None]
        is_mixed = ((of_classes > 0) & (of_classes < 1)).any(axis=1)
        mixed += [rows[total + int(place)] for place in np.flatnonzero(is_mixed)]
        total, full = total + len(batch), full + int((shares == 1).sum())
        if len(mixed) >= count:
            break
    if not mixed and planes == 1:
        raise DataError(
            f"the masks of all {total} training images are {'full' if full else 'empty'}",
            found=f"{full} full, {total - full} empty",
            expected="masks that part an object from the background",
            fix="compare reports/<name>/contact_sheet.jpg with the raw masks: they may have values "
            "that data.values should name, or lie the wrong way round",
        )
    others = [row for row in rows if row not in set(mixed)]
    return sorted((mixed + others)[:count])


def require_differences(targets: NDArray[Any], task: str, names: Sequence[str]) -> None:
    """Refuse targets that say nothing, or that are of another scale than the task's.

    Args:
        targets: Of the images to learn from, (n,) or (n, K), NaN where unknown.
        task: A name of `darkroom.tasks.table.TASKS`.
        names: Of the K targets.

    Raises:
        DataError: No target differs between images; or probabilities are not within 0 and 1.
    """
    columns = targets.reshape(len(targets), -1).astype(np.float64)
    low, high = np.nanmin(columns, axis=0), np.nanmax(columns, axis=0)
    if task in ("multilabel", "binary") and (low.min() < 0 or high.max() > 1):
        worst = int(np.argmax(np.maximum(high - 1, -low)))
        raise DataError(
            f"labels are of another scale: {names[worst]}",
            found=f"{low[worst]:g} to {high[worst]:g}",
            expected="0 (no) to 1 (yes)",
            fix="say in data.train.targets what the values mean, or set data.task to regression",
        )
    if (low == high).all():
        raise DataError(
            "all training images have the same targets, so there is nothing to learn",
            found=", ".join(
                f"{name} {value:g}" for name, value in zip(names[:8], low, strict=False)
            ),
            expected="images that differ",
            fix="compare data.train.targets with the table; or split otherwise",
        )
