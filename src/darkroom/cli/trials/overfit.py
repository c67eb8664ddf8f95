"""darkroom train NAME --overfit: learn one batch by heart, or say what keeps a network from it."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from darkroom.cli import begin
from darkroom.errors import DataError, ParamsError
from darkroom.params.train import Train
from darkroom.project.paths import Fold
from darkroom.stages import _train_args, train
from darkroom.stages._context import Context
from darkroom.stages._sampling import train_masks
from darkroom.stages.train import FoldTraining
from darkroom.training.trials.overfit import (
    IMAGES,
    Attempt,
    choose_masks,
    choose_rows,
    overfit,
    require_differences,
)

# What else `train` has changes how much is learned by heart: its defaults do not.
KEPT = (
    *("epochs", "lr", "optimizer", "momentum", "rates", "clip", "loss", "class_weights", "crop"),
    *("accelerator", "precision", "deterministic", "channels_last", "compile", "seed"),
)
STILL = 0.01  # a loss that changes by less than this share does not move


@_train_args.errors_name_the_file()
def run(context: Context, fold: Fold = 0) -> None:
    """Train on one batch until its loss is near its least, and print how it went.

    Raises:
        DataError: The targets say nothing, or images and targets contradict each other.
        ParamsError: The network does not learn the batch at any of the rates.
        DarkroomError: As the stage train.
    """
    begin()
    ready = train.prepare(_by_heart(context), fold)
    batch = one_batch(ready)
    count, loss = len(batch.inputs.train_rows), batch.config.loss
    name = loss if isinstance(loss, str) else " + ".join(loss)
    name = "the task's usual loss" if loss == "auto" else f"loss {name}"
    print(
        f"{context.name}, fold {fold}: {ready.summary()}; {count} images, the same in each step; "
        f"{name}\n"
        "  off          augmentation, mixing, dropout, weight decay, label smoothing, freezing",
        flush=True,
    )
    attempts = []
    for attempt in overfit(
        batch.net,
        batch.train_loader,
        batch.config,
        outputs=batch.description["model"]["outputs"],
        objective=replace(batch.objective, metric=None),
        seed=batch.seed,
        mean=batch.description["mean"],
        std=batch.description["std"],
    ):
        attempts.append(attempt)
        print(describe(attempt), flush=True)
    if not attempts[-1].learned:
        raise _not_learned(attempts)
    lr = attempts[-1].lr
    if len(attempts) > 1:
        print(f"It learns, but not at train.lr {attempts[0].lr:g}: try one nearer to {lr:g}.")
    else:
        print("It learns: network, loss and targets fit together.")


def _by_heart(context: Context) -> Context:
    """Return a context whose training nothing keeps from learning a batch by heart."""
    config, section = context.section.train, context.section
    changes: dict[str, Any] = {
        key: field.get_default(call_default_factory=True)
        for key, field in Train.model_fields.items()
        if key not in KEPT and not field.is_required()
    }
    images = min(IMAGES, max(2, config.batch_size // config.devices))
    changes |= {"augment": "none", "weight_decay": 0.0, "batch_size": images}
    changed = section.model_copy(update={"train": config.model_copy(update=changes)})
    return replace(context, section=changed)


def one_batch(ready: FoldTraining) -> FoldTraining:
    """Return a training with one batch of images that differ in what is to be learned.

    Raises:
        DataError: There are none; or equal images have different targets.
    """
    inputs, count = ready.inputs, ready.config.batch_size
    card, shards, targets = inputs.card, inputs.shards, inputs.targets
    if targets is None:
        masks = train_masks(shards, inputs.train_rows)
        rows = choose_masks(masks, inputs.train_rows, card.planes, count)
    else:
        names = card.targets
        require_differences(targets[inputs.train_rows], card.task, names)
        rows = choose_rows(targets, inputs.train_rows, count)
    _require_different_images(ready, rows)
    return ready.with_rows(rows, rows)


def _require_different_images(ready: FoldTraining, rows: Sequence[int]) -> None:
    """Refuse equal images of different targets: no network can learn both."""
    shards, targets = ready.inputs.shards, ready.inputs.targets
    rows_by_image: dict[bytes, int] = {}
    for row in rows:
        first = rows_by_image.setdefault(shards.image(row).tobytes(), row)
        answers = [
            shards.masks([each]).tobytes() if targets is None else targets[each].tobytes()
            for each in (first, row)
        ]
        if answers[0] != answers[1]:
            raise DataError(
                "images are equal to the last pixel, but their targets differ",
                found=f"{shards.ids[first]} and {shards.ids[row]}, as they are stored",
                fix="compare reports/<name>/contact_sheet.jpg with the raw images: they may have "
                "been read wrongly, or are too small in preprocess",
            )


def describe(attempt: Attempt) -> str:
    """Return the line of an attempt."""
    first, last = attempt.steps[0].loss, attempt.steps[-1].loss
    figures = ", ".join(
        f"{key.removesuffix('/train')} {value:.4f}"
        for key, value in attempt.metrics.items()
        if not key.startswith("loss")
    )
    least = "" if abs(attempt.floor) < 1e-4 else f" (its least is {attempt.floor:.4g})"
    return (
        f"  lr {attempt.lr:<9g} loss {first:.4g}, after {len(attempt.steps)} steps {last:.4g}"
        f"{least}; {figures}"
    )


def _not_learned(attempts: Sequence[Attempt]) -> ParamsError:
    """Return what keeps a network from learning a batch, as far as losses tell."""
    first = attempts[0].steps[0].loss
    lows = [min(step.loss for step in attempt.steps) for attempt in attempts]
    rates = ", ".join(f"{attempt.lr:g}" for attempt in attempts)
    if all(not math.isfinite(attempt.steps[-1].loss) for attempt in attempts):
        return ParamsError(
            "the loss diverges on a single batch",
            found=f"learning rates {rates}",
            fix="set train.lr to a hundredth; if that diverges too, set train.clip to 1, and "
            "compare the scale of the targets",
        )
    if first - min(lows) <= STILL * abs(first - attempts[0].floor):
        return ParamsError(
            "the loss does not fall on a single batch",
            found=f"{first:.4g} at first, {min(lows):.4g} at best, with learning rates {rates}",
            fix="the gradient reaches no layer, or the rate is far too low: try train.lr "
            "100 times as great; then another model or loss",
        )
    return ParamsError(
        "a single batch is not learned by heart",
        found=f"a loss of {first:.4g} at first, {min(lows):.4g} at best, "
        f"with learning rates {rates}",
        expected=f"near {attempts[0].floor:.4g}",
        fix="use a larger network (model.width, depth) or larger images (preprocess.height, "
        "width): what tells these images apart may be too small to see. Labels that are wrong "
        "are learned by heart too, so they are not the cause",
    )
