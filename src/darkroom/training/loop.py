"""The training loop: epochs of batches, each validated, each followed by a checkpoint."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkroom.params.train import FitConfig
from darkroom.store.loader import Batch, Loader
from darkroom.training import distributed
from darkroom.training.callbacks import Callback
from darkroom.training.checkpoint import Checkpoints
from darkroom.training.module import Metrics, Totals, TrainModule, batch_seed, check_finite
from darkroom.training.step import OptimizerStep


class Loop:
    """Trains a network from where it stands to the last epoch.

    Before each batch torch's generators are seeded from (seed, epoch, batch, rank), so that a
    resumed run draws the same random numbers.

    Attributes:
        epoch: Epochs that are over, validation included.
        batch: Training batches that are over in the next one; all: only its validation is left.
        history: One row an epoch: epoch (from 1), loss and every metric as `<name>/train` and
            `<name>/val`, learning rate (at the epoch's end; the greatest of any layer group).
            Nothing in it depends on the clock.
        step_metrics: Of the last optimizer step: `loss/step`, `gradient norm` and
            `learning rate/<group>`.
        best: The row of the best epoch so far.
        stop: Set by a callback, the loop ends with the epoch.
        saved: The file of the last checkpoint, if there is one.
    """

    def __init__(
        self,
        module: TrainModule,
        step: OptimizerStep,
        train_loader: Loader,
        val_loader: Loader,
        config: FitConfig,
        *,
        seed: int,
        callbacks: Sequence[Callback],
    ) -> None:
        self.module, self.step, self.config, self.seed = module, step, config, seed
        self.train_loader, self.val_loader = train_loader, val_loader
        self.batches, self.val_batches = len(train_loader), len(val_loader)
        self.callbacks = callbacks
        self.epoch, self.batch, self.stop = 0, 0, False
        self.totals = Totals(module.task.metrics)
        self.history: list[Metrics] = []
        self.step_metrics: Metrics = {}
        self.best: Metrics = {}
        self.saved: Path | None = None
        self._losses: list[float] = []  # of the batches of the coming step

    @property
    def seen(self) -> int:
        """Training batches that are over, in all epochs."""
        return self.epoch * self.batches + self.batch

    @property
    def steps(self) -> int:
        """Optimizer steps taken, in all epochs."""
        per_epoch = self.config.steps_per_epoch(self.batches)
        return self.epoch * per_epoch + self.config.steps_per_epoch(self.batch)

    @property
    def ended(self) -> bool:
        """Whether no epoch is left to do."""
        return self.stop or self.epoch >= self.config.epochs

    def run(self, checkpoints: Checkpoints) -> None:
        """Train: epochs, and in each its batches, its validation, its checkpoint.

        Raises:
            DataError: Images without a target.
            ParamsError: The loss is not finite.
            SystemExit, KeyboardInterrupt: A signal came, and a checkpoint was written.
        """
        if self.ended:
            return
        try:
            self.call("on_train_start")
            while not self.ended:
                self._train_epoch(checkpoints)
                self._validate(checkpoints)
                self.epoch, self.batch = self.epoch + 1, 0
                checkpoints.after_epoch(self)
        finally:
            self.call("on_train_end")

    def _train_epoch(self, checkpoints: Checkpoints) -> None:
        self.module.start_epoch(frozen=self.config.is_frozen(self.epoch))
        if self.batch == 0:
            self.totals = Totals(self.module.task.metrics)
        self.call("on_epoch_start")
        self.train_loader.start(self.epoch, self.batch)
        for batch in self.train_loader:
            batch = batch.to(self.module.device, non_blocking=True)
            self.call("on_batch_start", batch)
            self._train_batch(batch)
            self.call("on_batch_end", batch)
            checkpoints.after_batch(self)

    def _train_batch(self, batch: Batch) -> None:
        number, steps = self.batch, self.step.follows(self.batch)
        seed = batch_seed(self.seed, self.epoch, number, distributed.rank())
        with self.module.gradients(reduce=steps):
            loss, value = self.module.train_batch(batch, self.totals, seed=seed)
            self._check(value, batch)
            # Data parallel takes the plain mean over ranks, whose shares of a batch may differ.
            rows = self.train_loader.rows_in_batch(number)
            loss = loss * (distributed.world_size() * len(batch) / rows)
            self.step.backward(loss, number)
        self._losses.append(value)
        self.batch += 1
        if steps:
            mean = math.fsum(self._losses) / len(self._losses)
            self.step_metrics = {"loss/step": mean} | self.step.step()
            self._losses = []
            self.call("on_step_end")

    def _validate(self, checkpoints: Checkpoints) -> None:
        """Predict the validation images with the averaged weights; add a row to the history."""
        totals = Totals(self.module.task.metrics)
        with self.step.averaged():
            self.module.net.eval()
            self.call("on_validation_start")
            for batch in self.val_loader:
                batch = batch.to(self.module.device, non_blocking=True)
                probabilities, value = self.module.validate_batch(batch, totals)
                self._check(value, batch)
                self.call("on_validation_batch", batch, probabilities)
                if checkpoints.is_interrupted():
                    break
            else:
                self._end_epoch(totals)
                return
        # The network's own weights are back; a resumed run validates from the first batch.
        checkpoints.save_and_leave(self)

    def _end_epoch(self, totals: Totals) -> None:
        row: Metrics = {"epoch": self.epoch + 1}
        row |= self.totals.over_ranks().means("train") | totals.over_ranks().means("val")
        row["learning rate"] = self.step.learning_rate
        self.history.append(row)
        self.step.schedule.step_epoch(row[f"{self.module.task.monitor.name}/val"])
        self.call("on_epoch_end")

    def _check(self, value: float, batch: Batch) -> None:
        check_finite(value, batch, epoch=self.epoch + 1, lr=self.config.lr, checkpoint=self.saved)

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a method of every callback, in their order."""
        for callback in self.callbacks:
            getattr(callback, hook)(self, *arguments)
