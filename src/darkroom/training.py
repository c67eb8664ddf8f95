"""Training: a network, two loaders and plain values in; the best weights and a history out."""

import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from darkroom import memory
from darkroom.callbacks import BestWeights, Progress, describe_run
from darkroom.dataset import Loader
from darkroom.errors import DataError, ParamsError
from darkroom.inference import device_for
from darkroom.learner import Learner, Row
from darkroom.models import MEAN, STD
from darkroom.pictures import Pictures
from darkroom.tasks import TASKS

_LESS = "lower train.batch_size, or preprocess.height and width, or take a smaller model"

__all__ = ["FitResult", "Learner", "fit", "leaves_one"]


@dataclass(frozen=True)
class FitResult:
    """What training leaves.

    Attributes:
        net: The network that was given, with the weights of the best epoch, on the CPU in eval
            mode.
        history: One row an epoch; see `darkroom.learner.Learner`.
        best: The row of the best epoch.
    """

    net: nn.Module
    history: list[Row]
    best: Row


def leaves_one(images: int, batch_size: int) -> bool:
    """Return whether an epoch's last batch would hold a single image.

    Batch norm cannot take the variance of a single value, and that of a single image is
    noise: let the loader drop that batch. Shuffled, it is another image every epoch.
    """
    return batch_size > 1 and images > 1 and images % batch_size == 1


def fit(
    net: nn.Module,
    train_loader: Loader,
    val_loader: Loader,
    *,
    task: str,
    epochs: int,
    lr: float,
    weight_decay: float,
    patience: int,
    seed: int,
    log_dir: Path,
    work_dir: Path,
    accelerator: str = "auto",
    pictures: int = 8,
    classes: Sequence[str] = (),
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
) -> FitResult:
    """Train a network, keep the best epoch, stop when no better one comes.

    The result is a function of the arguments: to the bit, on one
    kind of CPU, number of threads and version of torch.

    Args:
        net: From `darkroom.models.build`, which seeds its first weights.
        train_loader: Its order follows (its seed, epoch). See `leaves_one` for `drop_last`.
        val_loader: At least one image; in a fixed order.
        task: A name of `darkroom.tasks.TASKS`; its first metric says which epoch is the best,
            and of equals the one with the lower validation loss.
        epochs: Passes over the training images.
        lr: The peak learning rate.
        weight_decay: AdamW's decoupled decay.
        patience: Epochs in a row without a better one before stopping.
        seed: Of what is random in the network while it trains, such as dropout.
        log_dir: TensorBoard's events; an earlier run there is hidden, not deleted.
        work_dir: Where Lightning may put files of its own.
        accelerator: "auto", "cpu", "cuda", "mps". On cuda products are taken in bfloat16
            (Micikevicius et al. 2018, mixed precision); elsewhere all is float32.
        pictures: How many validation images to draw with their predictions every epoch.
        classes: Names for the pictures: of the classes, or of the labels.
        mean: Of the normalisation.
        std: Likewise.

    Raises:
        DataError: No images to train on or to validate; or images without a target.
        ParamsError: The loss is not finite any more; or batch norm finds a single value.
        ResourceError: There is no such accelerator; or memory runs out.
    """
    _check_not_empty(train_loader, val_loader)
    device = device_for(accelerator)
    learner = Learner(
        net.train().to(memory_format=torch.channels_last),
        task=task,
        lr=lr,
        weight_decay=weight_decay,
        total_steps=epochs * len(train_loader),
        mean=mean,
        std=std,
    )
    best = BestWeights(TASKS[task].monitor, patience)
    logger = TensorBoardLogger(log_dir, name="", version="", default_hp_metric=False, purge_step=0)
    facts = {"network": type(net).__name__, "task": task, "epochs": epochs, "lr": lr, "seed": seed}
    describe_run(logger, TASKS[task], facts | {"weight decay": weight_decay})
    callbacks = [best, Pictures(pictures, val_loader, classes), Progress(best)]
    with _quiet(), _deterministic(seed), _interruptible():
        trainer = _trainer(device, epochs, logger, callbacks, work_dir)
        with memory.enough("train", fix=_LESS), _single_values_told():
            trainer.fit(learner, train_loader, val_loader)
    best.restore(net)
    return FitResult(net.cpu().eval(), learner.history, best.row)


def _trainer(
    device: torch.device,
    epochs: int,
    logger: TensorBoardLogger,
    callbacks: list[Callback],
    work_dir: Path,
) -> Trainer:
    on_gpu = device.type == "cuda"
    return Trainer(
        accelerator=device.type,
        devices=1,
        precision="bf16-mixed" if on_gpu else "32-true",
        # Some algorithms of a GPU have no deterministic form: there torch warns, here it refuses.
        deterministic="warn" if on_gpu else True,
        max_epochs=epochs,
        logger=logger,
        log_every_n_steps=1,
        callbacks=callbacks,
        default_root_dir=work_dir,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


def _check_not_empty(train_loader: Loader, val_loader: Loader) -> None:
    for loader, purpose in ((train_loader, "train on"), (val_loader, "validate with")):
        if not len(loader):
            raise DataError(
                f"there are no images to {purpose}",
                found="0 batches",
                fix="look at the split: this fold leaves none",
            )


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Seed every generator; put back what the trainer asks of torch for the whole process."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    seed_everything(seed, workers=True, verbose=False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let an interrupt out as itself: Lightning ignores further ones and exits the process."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as ended:
        if not isinstance(ended.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


@contextmanager
def _single_values_told() -> Iterator[None]:
    """Say which parameters leave batch norm a single value a channel, with no variance."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ParamsError(
            "batch norm needs two values or more of each channel",
            found=f"one image a batch, shrunk to one pixel inside the network: {error}",
            expected="two images a batch, or larger ones",
            fix="raise train.batch_size, or preprocess.height and width, or lower model.depth",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's remarks on what is meant here; its other warnings are heard."""
    remarks = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = remarks.level
    remarks.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in (
            r"The '\w+' does not have many workers",  # a store in memory needs none on a CPU
            r"Found \d+ module\(s\) in eval mode",  # a frozen backbone is
            r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning's own, with torch 2.15
        ):
            warnings.filterwarnings("ignore", message)
        try:
            yield
        finally:
            remarks.setLevel(level)
