"""train: shards and split -> the weights of one fold."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from darkroom import augment, executors, files, fingerprint, index, models, split, training
from darkroom.dataset import Loader, loader
from darkroom.errors import ParamsError
from darkroom.index import Card
from darkroom.models import saved
from darkroom.params import Model, Train
from darkroom.stages import pictures, setting
from darkroom.stages.setting import Setting
from darkroom.store import Store

MASK_MODELS = ("unet", "encoder_unet")


def run(name: str, fold: int = 0) -> None:
    """Train one fold of a competition; the model appears when training has ended."""
    here = setting.read(name)
    paths, choice, model = here.paths, here.section.train, here.section.model

    known = index.read(paths.index, paths.card)
    shards, rows = pictures.of(paths, known, "train")
    folds = setting.read_split(paths, name)
    split.check(rows, folds)
    _check_model(model.name, known.card.task)
    learning, validating = _sides(rows, folds, fold)

    stamp = _stamp(here, fold, [paths.index, paths.card, paths.split, *shards.paths])
    arguments = model.model_dump() | {"outputs": _outputs(known.card)}
    net = models.build(**arguments, seed=here.seed)
    result = training.fit(
        net,
        *_loaders(shards, learning, validating, _targets(rows, known.card), choice, here.seed),
        task=known.card.task,
        classes=known.card.classes or known.card.targets,
        epochs=choice.epochs,
        lr=choice.lr,
        weight_decay=choice.weight_decay,
        patience=choice.patience,
        seed=here.seed,
        accelerator=choice.accelerator,
        log_dir=paths.runs(fold, stamp),
        work_dir=paths.work(stamp),
    )

    made = {
        "model": arguments,
        "fold": fold,
        "split_sha256": fingerprint.file_sha256(paths.split),
        "metrics": result.best,
        "fingerprint": stamp,
        "libraries": fingerprint.libraries(),
    }
    saved.save(paths.model(fold), result.net, _described(known.card, shards) | made)
    history = pd.DataFrame(result.history).to_csv(index=False, lineterminator="\n")
    files.write(paths.history(fold), history)
    shutil.rmtree(paths.work(stamp), ignore_errors=True)
    best = ", ".join(f"{key} {value:.4f}" for key, value in result.best.items() if "/val" in key)
    print(f"{name}, fold {fold}: best epoch {result.best['epoch']:.0f}: {best}")


def _stamp(here: Setting, fold: int, inputs: list[Path]) -> str:
    """Return the fingerprint of what this training will make."""
    chosen = {
        "model": here.section.model.model_dump(),
        "train": here.section.train.model_dump(),
        "fold": fold,
        "seed": here.seed,
        "threads": torch.get_num_threads(),  # sums are rounded in another order by more
    }
    return fingerprint.of("train", chosen, inputs + _weights(here.section.model))


def _weights(model: Model) -> list[Path]:
    """Return the file or folder that the first weights come from, if one is named."""
    weights = getattr(model, "weights", None)
    return [] if weights in (None, "imagenet") else [setting.given(weights, "model.weights")]


def _described(card: Card, shards: Store) -> dict[str, Any]:
    """Return what it takes to use the weights, beside the network itself."""
    return {
        "task": card.task,
        "targets": card.targets,
        "classes": card.classes,
        "height": shards.height,
        "width": shards.width,
        "fit": shards.fit,
        "mean": models.MEAN,
        "std": models.STD,
    }


def _loaders(
    shards: Store,
    learning: list[int],
    validating: list[int],
    targets: NDArray[Any] | None,
    choice: Train,
    seed: int,
) -> tuple[Loader, Loader]:
    """Return the loaders of the rows to learn from, shuffled and augmented, and to validate on."""
    size, workers = choice.batch_size, _workers(choice.workers)
    learn = loader(
        shards,
        learning,
        targets,
        masks=targets is None,
        batch_size=size,
        seed=seed,
        augment=augment.build(choice.augment),
        workers=workers,
        drop_last=training.leaves_one(len(learning), size),
    )
    validate = loader(
        shards,
        validating,
        targets,
        masks=targets is None,
        batch_size=size,
        seed=None,
        workers=workers,
    )
    return learn, validate


def _check_model(model: str, task: str) -> None:
    """Refuse a network whose output is not what the task needs."""
    makes_masks = model in MASK_MODELS
    if makes_masks != (task == "segmentation"):
        raise ParamsError(
            f"model.name: {model} does not fit the task {task}",
            found=f"a network that predicts {'masks' if makes_masks else 'labels'}",
            expected=f"{' or '.join(MASK_MODELS)} for masks, resnet18 to resnet152 for labels",
            fix="edit model.name in params.yaml",
        )


def _sides(rows: pd.DataFrame, folds: pd.DataFrame, fold: int) -> tuple[list[int], list[int]]:
    """Return the row numbers to learn from and to validate on."""
    fold_of = rows["id"].map(folds.set_index("id")["fold"]).to_numpy(np.int64)
    validating = np.flatnonzero(fold_of == fold).tolist()
    if fold < 0 or not validating:
        raise ParamsError(
            f"fold {fold} has no image to validate on",
            found=f"folds {', '.join(map(str, sorted(set(fold_of.tolist()) - {-1})))}",
            fix="edit folds in params.yaml",
        )
    return np.flatnonzero(fold_of != fold).tolist(), validating


def _targets(rows: pd.DataFrame, card: Card) -> NDArray[Any] | None:
    """Return float32 (n, K), for classes int64 (n,), or None for masks, which shards hold."""
    if card.task == "segmentation":
        return None
    if card.task == "multiclass":
        return rows[card.targets[0]].to_numpy(np.int64)
    return rows[list(card.targets)].to_numpy(np.float32)


def _outputs(card: Card) -> int:
    return {"segmentation": 1, "multiclass": len(card.classes)}.get(card.task, len(card.targets))


def _workers(asked: int | str) -> int:
    """Return loader processes: a CPU has no core to spare for them, a GPU waits for them."""
    if isinstance(asked, int):
        return asked
    return min(8, executors.cores()) if torch.cuda.is_available() else 0
