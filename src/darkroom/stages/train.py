"""train: shards and split -> the weights of one fold."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from darkroom.errors import ParamsError
from darkroom.index.split import check_split
from darkroom.index.table import Card, read_index
from darkroom.models import learned
from darkroom.models.build import build_network, normalisation
from darkroom.models.learned import Codes
from darkroom.models.saved import save_model
from darkroom.models.sizes import check_size
from darkroom.params.model import Model
from darkroom.params.train import Train
from darkroom.project import files, fingerprint
from darkroom.project.paths import Layout
from darkroom.project.work import half_done
from darkroom.stages import _leaks, _learned, _train_args, _unfinished
from darkroom.stages._context import Context
from darkroom.stages._inputs import read_part
from darkroom.stages._split import read_split
from darkroom.store.store import Store
from darkroom.training import distributed
from darkroom.training.callbacks import Callback
from darkroom.training.fit import FitResult, fit

# (log_dir, task, validation loader, names=, hyperparameters=) to callbacks: TensorBoard's. The
# command line passes them, so that their code is no dependency of the stage: results do not depend
# on it.
CallbackFactory = Callable[..., Sequence[Callback]]


@_train_args.errors_name_the_file()
def run(
    context: Context, fold: int = 0, make_callbacks: CallbackFactory = lambda *_, **__: ()
) -> None:
    """Train one fold of a competition; the model is written when training has ended."""
    name, paths, section = context.name, context.paths, context.section
    model: Model = section.model
    train: Train = section.train

    index = read_index(paths.index, paths.card)
    card = index.card
    shards, rows = read_part(paths, index, "train")
    folds, split_sha256 = read_split(paths)
    check_split(rows, folds)
    _train_args.check_choices(section, card.task)
    train_rows, val_rows = _split_rows(rows, folds, fold)
    images, may_leak = learned.image_codes([]), False
    if model.weights == _train_args.GIVEN:
        images, may_leak = _leaks.read_first_images(paths, fold)
        _leaks.check_training(rows, train_rows, val_rows, images, may_leak)
    images = np.union1d(images, learned.image_codes(rows["digest"].to_numpy()[train_rows]))

    # Of what has been read: the files may be others a moment later.
    digests = {"card": index.sha256, "split": split_sha256, **shards.digests}
    parts = _parts(context, fold, card.task, digests)
    result_fingerprint = fingerprint.parts_fingerprint(parts)
    targets = _train_args.target_array(rows, card)
    train_targets = None if targets is None else targets[train_rows]
    arguments = _train_args.network_arguments(
        section, card, train_targets, str(paths.first_weights(fold) / _leaks.WEIGHTS)
    )
    net = build_network(**arguments, seed=context.seed)
    mean, std = normalisation(**arguments)
    # Validation sees whole images, whatever windows are cut for training.
    check_size(net, shards.height, shards.width)
    loaders = _train_args.train_loaders(shards, train_rows, val_rows, targets, train, context.seed)
    description = _description(card, shards) | {
        "mean": mean,
        "std": std,
        "model": arguments | {"weights": model.weights},
        "fold": fold,
        "leakage": _leaks.ALLOW if may_leak else "refuse",
        "split_sha256": split_sha256,
        _learned.KEY: _learned.learning_params(context),
        "fingerprint": result_fingerprint,
        "libraries": fingerprint.libraries(),
    }
    leads, training = distributed.rank() == 0, f"{name}, fold {fold}"
    if leads:
        _unfinished.report_others(paths.work(result_fingerprint), training, parts)
    # Of several ranks the first takes the lock, and the others wait with it.
    with half_done(
        paths.work(result_fingerprint), leads=leads, agree=distributed.broadcast
    ) as work_dir:
        result = fit(
            net,
            *loaders,
            train,
            task=card.task,
            loss=_train_args.train_loss(train, card, train_targets, arguments.get("scale")),
            mixup=_train_args.train_mixup(train, card),
            seed=context.seed,
            work_dir=work_dir,
            mean=mean,
            std=std,
            scale=arguments.get("scale"),
            callbacks=[
                _unfinished.Described(work_dir, training, parts),
                *make_callbacks(
                    paths.runs(fold, result_fingerprint),
                    card.task,
                    loaders[1],
                    names=card.classes or card.targets,
                    hyperparameters=_hyperparameters(context, fold, shards),
                ),
            ],
        )
        if not leads:  # rank 0 writes
            return
        context.require_unchanged()
        _save(paths, fold, result, description, images)
    _unfinished.remove_others(paths.work(result_fingerprint), training)
    best = ", ".join(f"{key} {value:.4f}" for key, value in result.best.items() if "/val" in key)
    print(f"{training}: best epoch {result.best['epoch']:.0f}: {best}")


def _save(
    paths: Layout, fold: int, result: FitResult, description: Mapping[str, Any], images: Codes
) -> None:
    """Write the model and the history, when nobody reads the ones so far."""
    outcome = {
        "metrics": result.best,
        "precision": result.precision,
        "trained_on": result.trained_on,
    }
    history = pd.DataFrame(result.history).to_csv(index=False, lineterminator="\n")
    with files.lock(paths.lock(f"model{fold}"), busy=_print_waiting):
        save_model(paths.model(fold), result.net, {**description, **outcome}, images)
        files.write(paths.history(fold), history)


def _print_waiting() -> None:
    print("waiting for another stage that reads the model so far", file=sys.stderr, flush=True)


def _parts(context: Context, fold: int, task: str, digests: Mapping[str, str]) -> dict[str, Any]:
    """Return all that this training's result comes from; the digests are of what has been read."""
    paths, section = context.paths, context.section
    choices = {
        "model": section.model.model_dump(),
        "train": _train_args.choices_of_bits(section.train, task),
        "fold": fold,
        "seed": context.seed,
    }
    is_given = section.model.weights == _train_args.GIVEN
    first_weights = [paths.first_weights(fold)] if is_given else []
    return fingerprint.stage_parts("train", choices, first_weights, digests)


def _hyperparameters(context: Context, fold: int, shards: Store) -> dict[str, Any]:
    """Return this run's row of TensorBoard's table of hyperparameters."""
    model = {"model": context.section.model.model_dump()}
    stored = {"height": shards.height, "width": shards.width, "fit": shards.fit}
    return (
        context.section.train.model_dump() | model | stored | {"fold": fold, "seed": context.seed}
    )


def _description(card: Card, shards: Store) -> dict[str, Any]:
    """Return what is needed to use the weights, besides the network's arguments."""
    return {
        "task": card.task,
        "targets": card.targets,
        "classes": card.classes,
        "height": shards.height,
        "width": shards.width,
        "fit": shards.fit,
    }


def _split_rows(rows: pd.DataFrame, folds: pd.DataFrame, fold: int) -> tuple[list[int], list[int]]:
    """Return the row numbers to train on and to validate on."""
    folds_of_rows = rows["id"].map(folds.set_index("id")["fold"]).to_numpy(np.int64)
    val_rows = np.flatnonzero(folds_of_rows == fold).tolist()
    if fold < 0 or not val_rows:
        raise ParamsError(
            f"fold {fold} has no image to validate on",
            found=f"folds {', '.join(map(str, sorted(set(folds_of_rows.tolist()) - {-1})))}",
            fix="edit folds in params.yaml",
        )
    return np.flatnonzero(folds_of_rows != fold).tolist(), val_rows
