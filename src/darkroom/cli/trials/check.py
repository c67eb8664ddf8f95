"""darkroom train NAME --check: all of a training with one batch, in a scratch folder.

It goes through what a training would stop at an hour later: the first batches of training and
validation, the metric, the checkpoint, the model's file, and predictions of both parts with it.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from darkroom.cli import begin
from darkroom.cli.train import launch_devices
from darkroom.errors import DataError, InternalError
from darkroom.index.table import Index, read_index
from darkroom.prediction.predictions import Part, Predictions, write_predictions
from darkroom.project import processes
from darkroom.project.paths import Fold, Layout
from darkroom.project.work import half_done
from darkroom.stages import _network, predict, train
from darkroom.stages._context import Context
from darkroom.stages._inputs import read_part
from darkroom.stages.train import FoldTraining
from darkroom.store.loader import Batch
from darkroom.store.store import Store
from darkroom.training import distributed
from darkroom.training.callbacks import Callback
from darkroom.training.fit import FitResult
from darkroom.training.loop import Loop
from darkroom.training.tensorboard.callbacks import callbacks

EPOCHS = 2  # a first batch takes longer than the others: the second one is timed


def run(context: Context, fold: Fold = 0) -> int:
    """Train, validate, save, load and predict one batch each, and return the exit code.

    Nothing of it is kept. It prints what each step came to, and how long an epoch would take.

    Raises:
        DarkroomError: As the stages train and predict.
    """
    code = launch_devices(context, ["train", context.name, "--fold", str(fold), "--check"])
    if code is not None:
        return code
    begin()
    with distributed.process_group(), _scratch_folder(context, fold) as folder:
        scratch = replace(context, paths=Layout(context.name, folder))
        ready = train.prepare(context, fold)
        small, times = one_batch(ready), _Times()
        _say(f"{context.name}, fold {fold}: {ready.summary()}")
        _say_data(ready)
        events = train.board_of(small, context, fold, scratch.paths.runs(fold, "check"), callbacks)
        result = small.fit(folder, [times, *events], progress=False)
        _say_training(ready, small, result, times)
        if distributed.rank() == 0:  # which writes
            _save_and_predict(scratch, context.paths, fold, ready, result)
        _say_end(context, fold, ready, times)
    return 0


def one_batch(ready: FoldTraining) -> FoldTraining:
    """Return a training of one batch, with another to validate with, for two epochs.

    A frozen backbone that will thaw does in the second one.
    """
    inputs, size = ready.inputs, ready.config.batch_size
    changes = {"epochs": EPOCHS, "unfreeze_epoch": ready.config.unfreeze_epoch and EPOCHS}
    small = replace(ready, config=ready.config.model_copy(update=changes))
    small = small.with_rows(spread(inputs.train_rows, size), spread(inputs.val_rows, size))
    metric, truth = ready.objective.metric, small.inputs.val_targets
    if metric is None or truth is None:
        return small
    try:  # so few images may lack a class, say
        metric.score(truth, np.full((len(truth), len(inputs.card.outputs)), 0.5, np.float32))
    except DataError:
        return replace(small, objective=replace(ready.objective, metric=None))
    return small


def spread(rows: Sequence[int], count: int) -> list[int]:
    """Return so many of the rows, evenly spread, or all.

    Example:
        >>> spread(range(10), 4)
        [0, 3, 6, 9]
    """
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [rows[place] for place in places]


@contextmanager
def _scratch_folder(context: Context, fold: Fold) -> Iterator[Path]:
    """Yield an empty folder where checkpoints lie too; it is removed in any case."""
    leads = distributed.rank() == 0
    place = context.paths.work("check", f"fold{fold}")
    with processes.exit_on_signals(), half_done(place, leads=leads, agree=distributed.broadcast):
        scratch = place / "scratch"
        try:
            if leads:  # of a check that was killed
                shutil.rmtree(scratch, ignore_errors=True)
            yield scratch
        finally:
            if leads:
                shutil.rmtree(scratch, ignore_errors=True)


class _Times(Callback):
    """The seconds of the latest training batch and of the latest validation, with their reading."""

    def __init__(self) -> None:
        self.train_s, self.val_s, self._start = 0.0, 0.0, 0.0
        self.losses: list[float] = []

    def on_epoch_start(self, loop: Loop) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_batch_end(self, loop: Loop, batch: Batch) -> None:
        """Stop it."""
        self.train_s = time.perf_counter() - self._start

    def on_step_end(self, loop: Loop) -> None:
        """Note the loss."""
        self.losses.append(loop.step_metrics["loss/step"])

    def on_validation_start(self, loop: Loop) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, loop: Loop) -> None:
        """Stop it."""
        self.val_s = time.perf_counter() - self._start


def _save_and_predict(
    scratch: Context, paths: Layout, fold: Fold, ready: FoldTraining, result: FitResult
) -> None:
    """Write the model, read it back, and predict a batch of each part with it."""
    info = ready.description | {"fingerprint": "0" * 64}
    train.save(scratch.paths, fold, result, info, ready.inputs)
    model, index = scratch.paths.model(fold), read_index(paths.index, paths.card)
    size = sum(file.stat().st_size for file in model.iterdir())
    _say(f"  model        {size / 1e6:.3g} MB, written and read back")
    parts: list[tuple[Part, str]] = [("valid", "validation"), ("test", "test")]
    for part, title in parts:
        shards, rows = read_part(paths, index, "train" if part == "valid" else "test")
        numbers = ready.inputs.val_rows if part == "valid" else range(len(rows))
        if not numbers:
            _say(f"  predictions  none: there are no {title} images")
            continue
        batch = rows.iloc[spread(numbers, scratch.section.predict.batch_size)]
        start = time.perf_counter()
        _predict(scratch, fold, part, index, shards, batch, result.net)
        seconds = time.perf_counter() - start
        _say(
            f"  predictions  {len(batch)} {title} images in {seconds:.2g} s, written and read back"
        )


def _predict(
    scratch: Context,
    fold: Fold,
    part: Part,
    index: Index,
    shards: Store,
    rows: pd.DataFrame,
    net: nn.Module,
) -> None:
    """Write predictions of the model that was saved, and hold them against the network's own."""
    choice = scratch.section.predict
    saved = _network.load(scratch, fold, index.card, shards, choice, split_sha256=None)
    header = predict.predictions_header(scratch, fold, part, index, shards, saved, rows, [])
    path = scratch.paths.predictions(part, fold)
    write_predictions(path, header, lambda _: saved.predict(shards, rows))
    own = replace(saved, network=net)
    stored = Predictions(path, fix="run it again")
    for written, expected in zip(stored.batches(), own.predict(shards, rows), strict=True):
        # Masks are stored in steps of 1/255, many classes in half precision.
        if written.ids != expected.ids or not np.allclose(
            written.probabilities, expected.probabilities, rtol=2e-3, atol=2.1e-3
        ):
            raise InternalError(
                "the model that was saved predicts something else than the network in memory",
                found=f"{len(rows)} {part} images, {', '.join(written.ids[:3])} among them",
                fix="report it, with the sections model and train of params.yaml",
            )


def _say(line: str) -> None:
    if distributed.rank() == 0:
        print(line, flush=True)


def _say_data(ready: FoldTraining) -> None:
    inputs = ready.inputs
    shards = inputs.shards
    _say(
        f"  data         {len(inputs.train_rows):,} images to learn from, {len(inputs.val_rows):,} "
        f"to validate with, {shards.height} px high and {shards.width} px wide"
    )


def _say_training(
    ready: FoldTraining, small: FoldTraining, result: FitResult, times: _Times
) -> None:
    first, last = times.losses
    _say(
        f"  training     a batch of {len(small.inputs.train_rows)} in {times.train_s:.2g} s on "
        f"{result.trained_on} in {result.precision}; loss {first:.4f}, then {last:.4f}"
    )
    row = result.history[-1]
    scores = [f"{key[:-4]} {value:.4f}" for key, value in row.items() if key.endswith("/val")]
    if scores:
        count, text = len(small.inputs.val_rows), ", ".join(scores)
        _say(f"  validation   a batch of {count} in {times.val_s:.2g} s; {text}")
    else:
        _say("  validation   none: this fold learns from all images")
    metric = ready.objective.metric
    if metric is not None and small.objective.metric is None:
        _say(f"               {metric.name} is not defined for these few images alone")


def _say_end(context: Context, fold: Fold, ready: FoldTraining, times: _Times) -> None:
    peak = processes.peak_memory()
    gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    _say(
        f"  memory       {'unknown' if peak is None else f'{peak / 1e9:.2g} GB'} at most"
        + (f", and {gpu / 1e9:.2g} GB of the GPU" if gpu else "")
    )
    epochs = context.section.train.epochs
    epoch_s = len(ready.train_loader) * times.train_s + len(ready.val_loader) * times.val_s
    _say(
        "All went through; nothing of it was kept. An epoch would take about "
        f"{processes.duration(epoch_s)}, {epochs} of them {processes.duration(epochs * epoch_s)}.\n"
        f"`dvc repro train@{context.name}-{fold}` trains."
    )
