"""When a training leaves something to go on from."""

# ruff: noqa: ARG002  # Lightning's hooks take more than each of them needs

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from darkroom.store.loader import Batch
from darkroom.training import checkpoint
from darkroom.training.checkpoint import Place, State
from darkroom.training.module import Learner
from darkroom.training.signals import Stop


class Checkpoints(Callback):
    """Saves after every epoch, every so many steps, and when a signal asks to stop.

    Always between two steps of the optimiser, so no gradient need be kept. It must be the last
    of the callbacks: what it saves of the others is what they hold after the same event.

    Args:
        file: See `darkroom.training.checkpoint.path`.
        about: See `darkroom.training.checkpoint.save`.
        every_steps: Steps of the optimiser between two checkpoints within an epoch; None: none.
        stop: Hears the signals.
        others: Callbacks that have a state.
    """

    def __init__(
        self,
        file: Path,
        about: Mapping[str, object],
        *,
        every_steps: int | None,
        stop: Stop,
        others: Sequence[Callback],
    ) -> None:
        self.file, self.about, self.every_steps = file, about, every_steps
        self.stop, self.others = stop, others

    def restore(self, learner: Learner, place: Place, state: State, batches: int) -> None:
        """Give a checkpoint's state back to those it is of; an epoch has so many batches."""
        for other, kept in zip(self.others, state["callbacks"], strict=True):
            if kept:
                other.load_state_dict(kept)
        learner.load_state(state, seen=place.seen(batches), within=place.batch > 0)
        learner.kept = self.file

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hear signals again, which Lightning has just taken for itself."""
        self.stop.listen()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Save if it is time; leave if a signal says so."""
        learner = _learner(pl_module)
        if not learner.stepper.ends(batch_idx):
            return
        asked = learner.team.any(self.stop.asked is not None)
        last = batch_idx + 1 == trainer.num_training_batches  # validation saves soon enough
        due = self.every_steps is not None and trainer.global_step % self.every_steps == 0
        if asked or (due and not last):
            self._save(trainer, learner, epoch=trainer.current_epoch, batch=batch_idx + 1)
        if asked:
            self._leave()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Leave if a signal says so, to validate anew from the first batch."""
        learner = _learner(pl_module)
        # Several ranks may have unlike numbers of these batches: they end the epoch first.
        if self.stop.asked is not None and learner.team.world == 1:
            learner.leave_average()
            batches = int(trainer.num_training_batches)
            self._save(trainer, learner, epoch=trainer.current_epoch, batch=batches)
            self._leave()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save; validation is over. Leave if a signal says so."""
        learner = _learner(pl_module)
        self._save(trainer, learner, epoch=trainer.current_epoch + 1, batch=0)
        if learner.team.any(self.stop.asked is not None):
            self._leave()

    def _save(self, trainer: Trainer, learner: Learner, *, epoch: int, batch: int) -> None:
        state: State = learner.state()  # all ranks take part
        if learner.team.rank > 0 or not _finite(learner):
            return
        for logger in trainer.loggers:
            # What a checkpoint has behind it will not be told again.
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.flush()
        state["callbacks"] = [other.state_dict() for other in self.others]
        state["ended"] = bool(trainer.should_stop) or epoch == trainer.max_epochs
        checkpoint.save(self.file, Place(epoch, batch, trainer.global_step), self.about, state)
        learner.kept = self.file

    def _leave(self) -> None:
        self.stop.obey()
        raise SystemExit(143)  # another rank was asked


def _finite(learner: Learner) -> bool:
    """Return whether the weights are of use: a loss tells of spoilt ones a batch too late."""
    floats = [t for t in learner.net.state_dict().values() if t.is_floating_point()]
    return bool(torch.stack([t.isfinite().all() for t in floats]).all()) if floats else True


def _learner(module: LightningModule) -> Learner:
    assert isinstance(module, Learner)
    return module
