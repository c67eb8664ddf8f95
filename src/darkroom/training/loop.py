"""The training loop: in each epoch the training batches, a validation, a checkpoint."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from darkroom.params.train import FitConfig
from darkroom.store.loader import Batch, Loader
from darkroom.tasks.metrics.epochs import Part
from darkroom.training import distributed
from darkroom.training.callbacks import Callback
from darkroom.training.checkpoint import Checkpoints
from darkroom.training.frozen.features import KeptFeatures
from darkroom.training.module import (
    Metrics,
    Totals,
    TrainModule,
    batch_seed,
    check_finite,
    targets_of,
)
from darkroom.training.step import OptimizerStep


class Loop:
    """Trains a network from its current epoch and batch to the last epoch.

    Before each batch torch's generators are seeded from (seed, epoch, batch, rank). So a resumed
    run draws the same random numbers.

    Args:
        module: The network and what turns a batch into a loss.
        step: The optimizer step.
        train_loader, val_loader: Of this rank's share of every batch.
        config: How many epochs, and how the optimizer steps.
        seed: See above.
        callbacks: Called in this order.

    Attributes:
        epoch: Completed epochs, validation included; so the number of the current one, from 0.
        batch: Completed training batches of the current epoch.
        totals: Of these batches.
        history: One row an epoch: epoch (from 1), and, `/val` where there are validation images,
            the metric that the judge counts as
            `<name>/val`, loss and every other metric as `<name>/train` and `<name>/val`, learning
            rate (at the epoch's end; the greatest of any layer group).
            No value depends on the clock.
        step_metrics: Of the latest optimizer step: `loss/step`, `learning rate/<group>`, and
            `gradient norm` if gradients are clipped or a callback logs it.
        selected: The row of the epoch so far whose weights are kept.
        should_stop: A callback sets it to end the loop after this epoch.
        checkpoint_file: The last checkpoint that was written or read; None: there is none.
        features: Of a frozen backbone; None: they are not kept, or it is no longer frozen.
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
        self.epoch, self.batch, self.should_stop = 0, 0, False
        self.totals = Totals(module.task.metrics)
        self.history: list[Metrics] = []
        self.step_metrics: Metrics = {}
        self.selected: Metrics = {}
        self.checkpoint_file: Path | None = None
        self.features: KeptFeatures | None = None
        self._loss, self._images = 0.0, 0  # summed over the images since the latest step

    @property
    def batches_seen(self) -> int:
        """Completed training batches of all epochs."""
        return self.epoch * self.batches + self.batch

    @property
    def steps(self) -> int:
        """Optimizer steps of all epochs; exact between two steps."""
        per_epoch = self.config.steps_per_epoch(self.batches)
        return self.epoch * per_epoch + self.config.steps_per_epoch(self.batch)

    @property
    def is_done(self) -> bool:
        """Whether no epoch is left."""
        return self.should_stop or self.epoch >= self.config.epochs

    def run(self, checkpoints: Checkpoints) -> None:
        """Train until the last epoch, or until a callback stops the loop.

        Raises:
            DataError: Images without a target.
            ParamsError: The loss is not finite.
            SystemExit, KeyboardInterrupt: A signal came, and a checkpoint was written.
        """
        if self.is_done:  # a checkpoint of a finished training was read
            return
        with ExitStack() as ends:
            for callback in self.callbacks:  # all of them are called, also after an error
                ends.callback(callback.on_train_end, self)
            self.call("on_train_start")
            while not self.is_done:
                self.train_epoch(checkpoints.after_batch)
                self._validate(checkpoints)
                self.epoch, self.batch = self.epoch + 1, 0
                checkpoints.after_epoch(self)

    def train_epoch(self, after_batch: Callable[["Loop"], object]) -> None:
        """Train on the batches of the current epoch, or on the rest of them.

        Args:
            after_batch: Called with the loop after each of them.
        """
        is_frozen = self.config.is_frozen(self.epoch)
        self.features = self.features if is_frozen else None
        self.module.start_epoch(
            frozen=is_frozen,
            mixed=self.epoch < self.config.mixed_epochs,
        )
        if self.batch == 0:  # else a checkpoint within the epoch was read, and its totals with it
            self.totals = Totals(self.module.task.metrics)
        self.call("on_epoch_start")
        self.train_loader.start(self.epoch, self.batch)
        for batch in self._batches(self.train_loader):
            batch = self.module.to_device(batch)
            self.call("on_batch_start", batch)
            self._train_batch(batch)
            self.call("on_batch_end", batch)
            after_batch(self)

    def _batches(self, loader: Loader) -> Iterator[Batch]:
        """Return an iterator over a loader's batches, of features where these are kept."""
        return iter(loader) if self.features is None else self.features.batches(loader)

    def _train_batch(self, batch: Batch) -> None:
        is_step_due = self.step.is_due_after(self.batch)
        seed = batch_seed(self.seed, self.epoch, self.batch, distributed.rank())
        with self.module.gradients(reduce=is_step_due):
            loss, sums = self.module.train_batch(batch, seed=seed)
            # The gradients of a step's batches add up, and data parallel averages them over ranks,
            # each with the mean loss of its images. Batches and shares may differ in size: this
            # factor makes it the mean over all images of the step.
            batches = self.step.batches_of_step(self.batch)
            images = sum(map(self.train_loader.rows_in_batch, batches))
            self.step.backward(loss * (distributed.world_size() * len(batch) / images))
        norm = self._clip() if is_step_due else None
        # The only wait for the device: both passes are under way by now. Before weights change, so
        # that the last ones are finite.
        norms = [] if norm is None else [norm.float().view(1)]
        numbers = torch.cat([sums.numbers, *norms]).tolist()
        self._check(numbers[0], batch)
        if is_step_due:
            self.step_metrics = {"gradient norm": numbers.pop()} if norms else {}
        self.totals.add(numbers, sums.counts)
        self._loss, self._images = self._loss + numbers[0] * len(batch), self._images + len(batch)
        self.batch += 1
        if is_step_due:
            self.step_metrics |= {"loss/step": self._loss / self._images} | self.step.step()
            self._loss, self._images = 0.0, 0
            self.call("on_step_end")

    def _clip(self) -> Tensor | None:
        is_logged = any(callback.logs_gradient_norm(self) for callback in self.callbacks)
        return self.step.clip(is_logged=is_logged)

    def _validate(self, checkpoints: Checkpoints) -> None:
        """Predict the validation images with the averaged weights; add a row to the history."""
        totals, parts = Totals(self.module.task.metrics), list[Part]()
        with self.step.averaged():
            self.module.net.eval()
            self.call("on_validation_start")
            for number, batch in enumerate(self._batches(self.val_loader)):
                batch = self.module.to_device(batch)
                probabilities, sums = self.module.validate_batch(batch)
                numbers = sums.numbers.tolist()
                self._check(numbers[0], batch)
                totals.add(numbers, sums.counts)
                if self.module.metric is not None:
                    arrays = self.module.metric.arrays(probabilities, targets_of(batch))
                    parts.append((batch.ids, *arrays))
                self.call("on_validation_batch", batch, probabilities)
                if checkpoints.is_interrupted(self, number):
                    break
            else:
                self._end_epoch(totals, parts)
                return
        # Interrupted: outside of `averaged`, so that the checkpoint gets the network's own weights.
        # A resumed run validates from the first batch.
        checkpoints.save_and_leave(self)

    def _end_epoch(self, totals: Totals, parts: list[Part]) -> None:
        is_validated = len(self.val_loader.sampler.rows) > 0  # of all ranks
        row: Metrics = {"epoch": self.epoch + 1}
        row |= self.module.epoch_scores(parts) if is_validated else {}
        row |= self.totals.over_ranks().means("train")
        row |= totals.over_ranks().means("val") if is_validated else {}
        row["learning rate"] = self.step.learning_rate  # before a plateau lowers it
        self.history.append(row)
        if is_validated:
            self.step.schedule.step_epoch(row[f"{self.module.monitor.name}/val"])
        self.call("on_epoch_end")

    def _check(self, value: float, batch: Batch) -> None:
        check_finite(
            value,
            batch,
            epoch=self.epoch + 1,
            lr=self.config.lr,
            checkpoint=self.checkpoint_file,
            gaps=self.module.gaps,
        )

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a method of every callback."""
        for callback in self.callbacks:
            getattr(callback, hook)(self, *arguments)
