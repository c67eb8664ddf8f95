"""train: shards and split -> the weights of one fold."""

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from darkroom.errors import ParamsError
from darkroom.index.split import check_split
from darkroom.index.table import Card, read_index
from darkroom.models import saved, sizes
from darkroom.models.build import MEAN, STD, build_network
from darkroom.params.model import Model
from darkroom.params.train import Train
from darkroom.project import files, fingerprint
from darkroom.stages import _train_args
from darkroom.stages._context import Context, require
from darkroom.stages._inputs import read_part, read_split
from darkroom.store.store import Store
from darkroom.training import distributed, fit
from darkroom.training.callbacks import Callback

# (log_dir, task, validation loader, names=, hyperparameters=) to callbacks: TensorBoard's. No
# result depends on them, so the command line passes them: DVC need not know their code.
Watch = Callable[..., Sequence[Callback]]


def run(context: Context, fold: int = 0, watch: Watch = lambda *_, **__: ()) -> None:
    """Train one fold of a competition; the model appears when training has ended."""
    name, paths, section = context.name, context.paths, context.section
    model: Model = section.model
    train: Train = section.train

    known = read_index(paths.index, paths.card)
    card = known.card
    shards, rows = read_part(paths, known, "train")
    folds = read_split(paths)
    check_split(rows, folds)
    _train_args.check_choices(section, card.task)
    learn, validate = _sides(rows, folds, fold)
    if model.weights == _train_args.GIVEN:
        require(paths.first_weights, "transfer", name)

    stamp = _stamp(context, fold, shards)
    targets = _train_args.target_array(rows, card)
    learned = None if targets is None else targets[learn]
    arguments = _train_args.network_arguments(section, card, learned, str(paths.first_weights))
    net = build_network(**arguments, seed=context.seed)
    # Validation sees whole images, whatever windows are cut for training.
    sizes.check_size(net, shards.height, shards.width)
    loaders = _train_args.train_loaders(shards, learn, validate, targets, train, context.seed)
    result = fit.fit(
        net,
        *loaders,
        train,
        task=card.task,
        loss=_train_args.train_loss(train, card, learned, arguments.get("scale")),
        mixup=_train_args.train_mixup(train, card),
        seed=context.seed,
        work_dir=paths.work(stamp),
        callbacks=watch(
            paths.runs(fold, stamp),
            card.task,
            loaders[1],
            names=card.classes or card.targets,
            hyperparameters=_hyperparameters(context, fold, shards),
        ),
    )
    if distributed.rank() > 0:  # the first process writes
        return

    made = {
        "model": arguments | {"weights": model.weights},
        "fold": fold,
        "split_sha256": files.file_sha256(paths.split),
        "metrics": result.best,
        "fingerprint": stamp,
        "libraries": fingerprint.libraries(),
    }
    saved.save_model(paths.model(fold), result.net, _described(card, shards) | made)
    history = pd.DataFrame(result.history).to_csv(index=False, lineterminator="\n")
    files.write(paths.history(fold), history)
    shutil.rmtree(paths.work(stamp), ignore_errors=True)
    best = ", ".join(f"{key} {value:.4f}" for key, value in result.best.items() if "/val" in key)
    print(f"{name}, fold {fold}: best epoch {result.best['epoch']:.0f}: {best}")


def _stamp(context: Context, fold: int, shards: Store) -> str:
    """Return the fingerprint of what this training will make."""
    paths, section = context.paths, context.section
    chosen = {
        "model": section.model.model_dump(),
        "train": section.train.model_dump(),
        "fold": fold,
        "seed": context.seed,
        "threads": torch.get_num_threads(),  # sums are rounded in another order by more
    }
    inputs = [paths.index, paths.card, paths.split, *shards.paths]
    if section.model.weights == _train_args.GIVEN:
        inputs.append(paths.first_weights)
    return fingerprint.stage_fingerprint("train", chosen, inputs)


def _hyperparameters(context: Context, fold: int, shards: Store) -> dict[str, Any]:
    """Return what TensorBoard's table of hyperparameters says of this run."""
    model = {"model": context.section.model.model_dump()}
    stored = {"height": shards.height, "width": shards.width, "fit": shards.fit}
    return (
        context.section.train.model_dump() | model | stored | {"fold": fold, "seed": context.seed}
    )


def _described(card: Card, shards: Store) -> dict[str, Any]:
    """Return what it takes to use the weights, beside the network itself."""
    return {
        "task": card.task,
        "targets": card.targets,
        "classes": card.classes,
        "height": shards.height,
        "width": shards.width,
        "fit": shards.fit,
        "mean": MEAN,
        "std": STD,
    }


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
