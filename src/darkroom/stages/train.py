"""train: shards and split -> the weights of one fold."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from darkroom.errors import ArtifactError
from darkroom.index.card import Card, with_names
from darkroom.index.split import check_split
from darkroom.index.table import read_index
from darkroom.models import learned
from darkroom.models.build import build_network, network_notes, normalisation
from darkroom.models.learned import Codes
from darkroom.models.saved import save_model
from darkroom.models.sizes import check_size
from darkroom.params.model import Model
from darkroom.params.preprocess import Preprocess
from darkroom.params.train import Train
from darkroom.project import files, fingerprint
from darkroom.project.paths import Fold, Layout
from darkroom.project.work import half_done
from darkroom.stages import (
    _leaks,
    _model_params,
    _pseudo_labels,
    _sampling,
    _train_args,
    _unfinished,
)
from darkroom.stages._context import Context
from darkroom.stages._inputs import mask_classes, read_part, require_same_store
from darkroom.stages._split import read_split, require_fold
from darkroom.store.loader import Loader
from darkroom.store.store import Store
from darkroom.tasks.metrics.own import own_digests
from darkroom.training import distributed
from darkroom.training.augment.mixup import Mixup
from darkroom.training.callbacks import Callback
from darkroom.training.fit import FitResult, Objective, fit
from darkroom.training.loop import Loop
from darkroom.training.module import Metrics

# (log_dir, task, validation loader, names=, hyperparameters=) to callbacks: TensorBoard's. The
# command line passes them, so that their code is no dependency of the stage: results do not depend
# on it.
CallbackFactory = Callable[..., Sequence[Callback]]


@dataclass(frozen=True)
class _Inputs:
    """What a fold is trained on, read and checked.

    Attributes:
        card: What the targets are.
        shards: The training images, of this fold and of the others.
        train_rows: The numbers of those to learn from.
        val_rows: Of those to validate on; none of fold `all`.
        targets: By number; None for masks, which the shards hold.
        images: The codes of all images that the finished network will have learned from.
        may_leak: Whether its first weights may have learned validation images.
        pseudo_labels: The note of those that are behind the training images, and are learned too;
            None: there are none.
        digests: Of what has been read: the files may be others a moment later.
    """

    card: Card
    shards: Store
    train_rows: list[int]
    val_rows: list[int]
    targets: NDArray[Any] | None
    images: Codes
    may_leak: bool
    pseudo_labels: dict[str, Any] | None
    digests: dict[str, str]

    @property
    def val_targets(self) -> NDArray[Any] | None:
        """The targets of the images to validate on; None for masks."""
        return None if self.targets is None else self.targets[self.val_rows]

    @property
    def known_share(self) -> float | None:
        """The share of known targets of all images; None where all are known.

        Gaps of the images to validate on count as well: their loss is computed likewise.
        """
        return _train_args.known_share(self.targets)

    @property
    def train_targets(self) -> NDArray[Any] | None:
        """The targets of the images to learn from; None for masks."""
        return None if self.targets is None else self.targets[self.train_rows]


@dataclass(frozen=True)
class FoldTraining:
    """The training of a fold, ready for its first batch.

    Attributes:
        inputs: What it learns from.
        net: With its first weights.
        train_loader, val_loader: Of all its images.
        config: The section `train`.
        objective: What is learned, and what compares epochs.
        mixup: Mixes the images of training batches; None: nothing does.
        seed: Of this fold.
        description: What is needed to use the weights: the model's file beside them.
    """

    inputs: _Inputs
    net: nn.Module
    train_loader: Loader
    val_loader: Loader
    config: Train
    objective: Objective
    mixup: Mixup | None
    seed: int
    description: dict[str, Any]

    def summary(self) -> str:
        """Return the network's name and size: `unet, 31,037,633 parameters`."""
        parameters = [parameter.numel() for parameter in self.net.parameters()]
        model = self.description["model"]
        return f"{model.get('backbone', model['name'])}, {sum(parameters):,} parameters"

    def with_rows(self, train_rows: list[int], val_rows: list[int]) -> "FoldTraining":
        """Return this training with fewer images: those of these numbers, each drawn once."""
        inputs = self.inputs
        # A few images may have nothing to sample or to paste.
        config = self.config.model_copy(update={"sample": None, "copy_paste": 0.0})
        loaders = _train_args.train_loaders(
            inputs.shards, train_rows, val_rows, inputs.targets, config, inputs.card, self.seed
        )
        inputs = replace(inputs, train_rows=train_rows, val_rows=val_rows)
        return replace(self, inputs=inputs, train_loader=loaders[0], val_loader=loaders[1])

    @_train_args.errors_name_the_file()
    def fit(self, work: Path, callbacks: Sequence[Callback], *, progress: bool = True) -> FitResult:
        """Train, with a checkpoint in the folder `work`; see `darkroom.training.fit.fit`."""
        return fit(
            self.net,
            self.train_loader,
            self.val_loader,
            self.config,
            objective=self.objective,
            mixup=self.mixup,
            seed=self.seed,
            work_dir=work,
            mean=self.description["mean"],
            std=self.description["std"],
            callbacks=callbacks,
            progress=progress,
        )


class HistoryFile(Callback):
    """Writes the history so far at the end of each epoch, for live curves of `dvc plots`.

    Beside a finished model stands its own history, until both are replaced: this training may be
    stopped, or refused at its end. `dvc repro` removes both as it begins.

    Args:
        path: Replaced atomically, by rank 0; a resumed training begins with its earlier epochs.
        model: The folder of the fold's finished model.
    """

    def __init__(self, path: Path, model: Path) -> None:
        self.path, self.model = path, model

    def on_epoch_end(self, loop: Loop) -> None:
        """Write the file, where there is no model."""
        if distributed.rank() == 0 and not self.model.exists():
            files.write(self.path, history_csv(loop.history))


def history_csv(history: Sequence[Metrics]) -> str:
    """Return a history as CSV, a row an epoch."""
    return pd.DataFrame(history).to_csv(index=False, lineterminator="\n")


@_train_args.errors_name_the_file()
def run(
    context: Context, fold: Fold = 0, make_callbacks: CallbackFactory = lambda *_, **__: ()
) -> None:
    """Train one fold of a competition; the model is written when training has ended."""
    paths, select = context.paths, context.section.train.select
    inputs = _read_inputs(context, fold)
    parts = _parts(context, fold, inputs)
    result_fingerprint = fingerprint.parts_fingerprint(parts)
    ready = _prepared(context, fold, inputs)

    leads, training = distributed.rank() == 0, f"{context.name}, fold {fold}"
    for note in network_notes(**ready.description["model"]) if leads else []:
        print(f"{training}: {note}", file=sys.stderr)
    work = paths.work(result_fingerprint)
    if leads:
        _unfinished.report_others(work, training, parts)
    # Of several ranks the first takes the lock, and the others wait with it.
    with half_done(work, leads=leads, agree=distributed.broadcast):
        model = ready.description["model"]
        network = f"{model.get('backbone', model['name'])} lr{context.section.train.lr:g}"
        events = paths.runs(fold, result_fingerprint, network)
        board = board_of(ready, context, fold, events, make_callbacks)
        described = _unfinished.Described(work, training, parts)
        curves = HistoryFile(paths.history(fold), paths.model(fold))
        result = ready.fit(work, [described, curves, *board])
        if not leads:  # rank 0 writes
            return
        context.require_unchanged()
        save(paths, fold, result, ready.description | {"fingerprint": result_fingerprint}, inputs)
    _unfinished.remove_others(work, training)
    row, part = result.selected, "/val" if inputs.val_rows else "/train"
    scores = ", ".join(f"{key} {value:.4f}" for key, value in row.items() if part in key)
    print(f"{training}: {select} epoch {row['epoch']:.0f}: {scores}")


@_train_args.errors_name_the_file()
def prepare(context: Context, fold: Fold) -> FoldTraining:
    """Read and check what a fold is trained on, and build what `run` would train.

    Raises:
        ArtifactError: What stages before it write is not there.
        DarkroomError: As `run`, before its first batch.
    """
    paths, name = context.paths, context.name
    for path in (paths.index, paths.split, paths.processed):
        if not path.exists():
            raise ArtifactError(
                "it is not there",
                file=path,
                fix=f"run `dvc repro preprocess@{name} fold@{name}-{fold}` first",
            )
    return _prepared(context, fold, _read_inputs(context, fold))


def _prepared(context: Context, fold: Fold, inputs: _Inputs) -> FoldTraining:
    train: Train = context.section.train
    card, shards = inputs.card, inputs.shards
    arguments = _network_arguments(context, fold, inputs)
    metric = _train_args.epoch_metric(card, inputs.val_targets) if inputs.val_rows else None
    seed = _train_args.fold_seed(context, fold)
    net = build_network(**arguments, seed=seed)
    # Validation sees whole images, whatever windows are cut for training.
    for size in ((shards.height, shards.width), *([tuple(train.crop)] if train.crop else [])):
        check_size(net, shards.channels, *size)
    note = inputs.pseudo_labels
    train_loader, val_loader = _train_args.train_loaders(
        shards,
        inputs.train_rows,
        inputs.val_rows,
        inputs.targets,
        train,
        card,
        seed,
        pseudo_labelled=0 if note is None else note["rows"],
    )
    return FoldTraining(
        inputs,
        net,
        train_loader,
        val_loader,
        train,
        Objective(
            card.task,
            _loss(train, inputs, arguments.get("scale")),
            arguments.get("scale"),
            mask_classes(card),
            metric,
            gaps=inputs.known_share is not None,
        ),
        _sampling.train_mixup(train, card),
        seed,
        _description(context, fold, inputs, arguments),
    )


def _read_inputs(context: Context, fold: Fold) -> _Inputs:
    paths, section = context.paths, context.section
    model: Model = section.model
    index = read_index(paths.index, paths.card)
    shards, rows = read_part(paths, index, "train")
    require_same_store(context, shards)
    folds, split_sha256 = read_split(paths)
    check_split(rows, folds)
    _train_args.check_choices(section, index.card.task)
    folds_of_rows = rows["id"].map(folds.set_index("id")["fold"])
    require_fold(folds_of_rows, fold)
    train_rows = np.flatnonzero(folds_of_rows != fold).tolist()
    val_rows = np.flatnonzero(folds_of_rows == fold).tolist()
    first_images, may_leak = learned.image_codes([]), False
    if model.weights == _train_args.GIVEN:
        first_images, may_leak = _leaks.read_first_images(paths, fold)
        _leaks.check_training(rows, train_rows, val_rows, first_images, may_leak)
    own_images = learned.image_codes(rows["digest"].to_numpy()[train_rows])
    targets = _train_args.target_array(rows, index.card)
    learned_from = None if targets is None else targets[train_rows]
    _train_args.require_known(learned_from, index.card, fold)
    note = _pseudo_labels.read_note(context, fold, index, split_sha256)
    if note is not None:
        shards, targets, added = _pseudo_labels.extended(context, fold, index, shards, targets)
        train_rows += added
    return _Inputs(
        card=index.card,
        shards=shards,
        train_rows=train_rows,
        val_rows=val_rows,
        targets=targets,
        images=np.union1d(first_images, own_images),
        may_leak=may_leak,
        pseudo_labels=note,
        digests={
            "card": index.sha256,
            "split": split_sha256,
            **shards.digests,
            **({} if note is None else note["digests"]),
            **own_digests(index.card.metric),
        },
    )


def save(
    paths: Layout, fold: Fold, result: FitResult, description: Mapping[str, Any], inputs: _Inputs
) -> None:
    """Write the model and the history, when nobody reads the ones so far."""
    outcome = {
        "metrics": result.selected,
        "precision": result.precision,
        "trained_on": result.trained_on,
    }
    with files.lock(paths.lock(f"model{fold}"), busy=_print_waiting):
        save_model(paths.model(fold), result.net, {**description, **outcome}, inputs.images)
        files.write(paths.history(fold), history_csv(result.history))


def _print_waiting() -> None:
    print("waiting for another stage that reads the model so far", file=sys.stderr, flush=True)


def _parts(context: Context, fold: Fold, inputs: _Inputs) -> dict[str, Any]:
    """Return all that this training's result comes from."""
    paths, section = context.paths, context.section
    choices = {
        "model": section.model.model_dump(),
        "train": _train_args.choices_of_bits(section.train, inputs.card.task),
        "fold": fold,
        "seed": _train_args.fold_seed(context, fold),
    }
    is_given = section.model.weights == _train_args.GIVEN
    first_weights = [paths.first_weights(fold)] if is_given else []
    return fingerprint.stage_parts("train", choices, first_weights, inputs.digests)


def _network_arguments(context: Context, fold: Fold, inputs: _Inputs) -> dict[str, Any]:
    """Return the arguments of `build_network`, but for the seed."""
    return _train_args.network_arguments(
        context.section,
        inputs.card,
        inputs.train_targets,
        str(context.paths.first_weights(fold) / _leaks.WEIGHTS),
        size=(inputs.shards.height, inputs.shards.width),
        channels=inputs.shards.channels,
    )


def _loss(train: Train, inputs: _Inputs, scale: Sequence[float] | None) -> nn.Module:
    """Return the loss; `scale` is one of the network's arguments."""
    masks = _sampling.train_masks(inputs.shards, inputs.train_rows)
    return _train_args.train_loss(
        train, inputs.card, inputs.train_targets, scale, masks, inputs.known_share
    )


def board_of(
    ready: FoldTraining, context: Context, fold: Fold, events: Path, make: CallbackFactory
) -> Sequence[Callback]:
    """Return TensorBoard's callbacks, which write into the folder `events`."""
    card = with_names(ready.inputs.card, context.paths.class_names)
    return make(
        events,
        card.task,
        ready.val_loader,
        names=card.shown,
        hyperparameters=_hyperparameters(context, fold, ready.inputs.shards),
        classes=mask_classes(card),
    )


def _hyperparameters(context: Context, fold: Fold, shards: Store) -> dict[str, Any]:
    """Return this run's row of TensorBoard's table of hyperparameters."""
    model = {"model": context.section.model.model_dump()}
    stored = {"height": shards.height, "width": shards.width, "fit": shards.fit}
    seeds = {"fold": fold, "seed": _train_args.fold_seed(context, fold)}
    return context.section.train.model_dump(exclude={"loggers"}) | model | stored | seeds


def _storage(preprocess: Preprocess) -> dict[str, Any]:
    """Return how images are stored, besides their size: new pictures go the same way."""
    return preprocess.model_dump(include={"store", "quality", "levels"})


def _description(
    context: Context, fold: Fold, inputs: _Inputs, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what is needed to use the weights, and what they were trained with."""
    card, shards = inputs.card, inputs.shards
    mean, std = normalisation(**arguments)
    note = inputs.pseudo_labels
    return {
        "task": card.task,
        "targets": card.targets,
        **({"exclusive": True} if card.exclusive else {}),
        "classes": card.classes,
        "height": shards.height,
        "width": shards.width,
        "fit": shards.fit,
        "channels": shards.channels,
        "stored": _storage(context.section.preprocess),
        "mean": mean,
        "std": std,
        "model": {**arguments, "weights": context.section.model.weights},
        "fold": fold,
        "seed": _train_args.fold_seed(context, fold),
        "leakage": _leaks.ALLOW if inputs.may_leak else "refuse",
        "split_sha256": inputs.digests["split"],
        **(
            {}
            if note is None
            else {"pseudo_labels": {key: note[key] for key in ("rows", "images")}}
        ),
        _model_params.KEY: _model_params.learning_params(context),
        "libraries": fingerprint.libraries(),
    }
