"""Train a network on two loaders; return the weights that are kept and the history."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from darkroom.errors import DataError, ParamsError
from darkroom.models.build import MEAN, STD
from darkroom.models.device import AMP_DTYPES, out_of_memory_errors
from darkroom.params.train import FitConfig
from darkroom.store.loader import Loader, lost_workers_reported
from darkroom.tasks.losses.build import build_loss
from darkroom.tasks.metrics.epochs import EpochMetric
from darkroom.tasks.planes import OVERLAPPING, MaskClasses
from darkroom.tasks.table import Task, get_task
from darkroom.training import distributed
from darkroom.training.augment.mixup import Mixup
from darkroom.training.callbacks import Callback, Progress, SelectedWeights
from darkroom.training.checkpoint import Checkpoints, checkpoint_path
from darkroom.training.device import (
    choose_precision,
    deterministic,
    keep_freed_memory,
    training_device,
)
from darkroom.training.frozen.features import keep_features
from darkroom.training.loop import Loop
from darkroom.training.module import Metrics, TrainModule
from darkroom.training.signals import DeferredSignals
from darkroom.training.step import OptimizerStep

Loss = nn.Module | Callable[[Tensor, Tensor], Tensor]
_LESS_MEMORY = "lower train.batch_size, or preprocess.height and width, or use a smaller model"


@dataclass(frozen=True)
class FitResult:
    """The result of a training.

    Attributes:
        net: The network with the weights of the selected epoch, on the CPU in eval mode.
        history: One row an epoch; see `darkroom.training.loop.Loop`.
        selected: The row of the epoch that `select` names.
        precision: What it was trained in: a key of `darkroom.models.device.AMP_DTYPES`.
        trained_on: The type of its device: "cpu", "cuda" or "mps".
    """

    net: nn.Module
    history: list[Metrics]
    selected: Metrics
    precision: str
    trained_on: str


@dataclass(frozen=True)
class Objective:
    """What a network learns, and what compares epochs.

    Attributes:
        task: A name of `darkroom.tasks.table.TASKS`. Its first metric compares epochs if `metric`
            does not, the validation loss equal ones.
        loss: From `darkroom.tasks.losses.build.build_loss`; None: the task's usual one.
        scale: Regression: each target's spread. Metrics, and the task's usual loss, divide errors
            by it.
        classes: How mask classes share the pixels.
        metric: Of all validation predictions of an epoch: compares them.
        gaps: Whether some targets are unknown, NaN; the loss must leave them out too.
    """

    task: str
    loss: Loss | None = None
    scale: Sequence[float] | None = None
    classes: MaskClasses = OVERLAPPING
    metric: EpochMetric | None = None
    gaps: bool = False

    def task_on(self, device: torch.device) -> Task:
        """Return the task, with its metrics' tensors on a device."""
        scales = None if self.scale is None else torch.tensor(self.scale, device=device)
        return get_task(self.task, scales, self.classes, gaps=self.gaps)

    def loss_module(self) -> Loss:
        """Return the loss that is set, or the task's usual one."""
        if self.loss is not None:
            return self.loss
        return build_loss(self.task, scale=self.scale, mask_classes=self.classes)


def fit(
    net: nn.Module,
    train_loader: Loader,
    val_loader: Loader,
    config: FitConfig,
    *,
    objective: Objective,
    seed: int,
    work_dir: Path,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
    mixup: Mixup | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
) -> FitResult:
    """Train a network, keep the epoch that `select` names, stop early as `patience` says.

    The result is a function of the arguments, to the bit: on one kind of CPU, with one number of
    threads and one version of torch. Interruptions do not change it: training resumes from the
    checkpoint in `work_dir`, if that is of a training with these arguments.

    Args:
        net: From `darkroom.models.build.build_network`, with its initial weights.
        train_loader: Shuffled by (its seed, epoch). See `leaves_one` for `drop_last`.
        val_loader: In a fixed order; without images only where nothing compares epochs.
        config: Epochs, optimizer, device, precision ...
        objective: What is learned, and what compares epochs.
        seed: Of dropout and Mixup.
        work_dir: Of the checkpoint, which is not deleted.
        mean, std: Of the normalisation.
        mixup: Mixes the images of training batches; None: they are not mixed.
        callbacks: Called on every rank, in this order.
        progress: Whether a terminal shows a bar, and a line an epoch is printed.

    Raises:
        DataError: No images to train on or to validate; or images without a target.
        ParamsError: The loss is infinite or not a number; or the arguments are inconsistent.
        ResourceError: There is no such accelerator; or memory runs out.
        SystemExit, KeyboardInterrupt: After SIGTERM (143), SIGINT; a checkpoint was written.
    """
    _check_sizes(train_loader, val_loader, config)
    precision = choose_precision(config, training_device(config.accelerator), objective.task)
    with training_loop(
        net,
        train_loader,
        val_loader,
        config,
        objective=objective,
        precision=precision,
        seed=seed,
        mean=mean,
        std=std,
        mixup=mixup,
    ) as (loop, signals):
        bar = [Progress()] if progress else []
        weights = _run_from_checkpoint(loop, signals, work_dir, [*callbacks, *bar])
    weights.restore(net)
    signals.obey()  # one that came after the last checkpoint
    device = loop.module.device.type
    return FitResult(net.cpu().eval(), loop.history, weights.row, precision, device)


def _run_from_checkpoint(
    loop: Loop, signals: DeferredSignals, work_dir: Path, callbacks: Sequence[Callback]
) -> SelectedWeights:
    """Run a loop to its end, from the checkpoint on that an earlier run left."""
    weights = SelectedWeights(loop.module.monitor, loop.config)
    loop.callbacks = [weights, *callbacks]
    checkpoints = Checkpoints(
        checkpoint_path(work_dir),
        _identity(loop),
        every_steps=loop.config.checkpoint_steps,
        signals=signals,
    )
    checkpoints.resume(loop)
    if not loop.is_done:
        loop.features = keep_features(
            loop.module, loop.train_loader, loop.val_loader, loop.config, work_dir, epoch=loop.epoch
        )
    if loop.features is not None:
        loop.features.compute(signals, progress=any(isinstance(c, Progress) for c in callbacks))
    loop.run(checkpoints)
    return weights


@contextmanager
def training_loop(
    net: nn.Module,
    train_loader: Loader,
    val_loader: Loader,
    config: FitConfig,
    *,
    objective: Objective,
    precision: str,
    seed: int,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
    mixup: Mixup | None = None,
) -> Iterator[tuple[Loop, DeferredSignals]]:
    """Yield a loop that has not begun, without callbacks, and the signals that ask it to stop.

    Within the context training is repeatable, can be stopped, and fails in our words; the loaders
    read this rank's share. Arguments as of `fit`; `precision` is of `choose_precision`.
    """
    device = training_device(config.accelerator)
    with _training_conditions(config, device, train_loader, val_loader) as signals:
        module = _train_module(net, objective, config, device, precision, mean, std, mixup)
        step = OptimizerStep(
            module.net,
            config,
            batches=len(train_loader),
            best=module.monitor.best,
            fp16=module.amp_dtype == torch.float16,
        )
        loop = Loop(module, step, train_loader, val_loader, config, seed=seed, callbacks=[])
        yield loop, signals


@contextmanager
def _training_conditions(
    config: FitConfig, device: torch.device, *loaders: Loader
) -> Iterator[DeferredSignals]:
    """Return a context in which training is repeatable, can be stopped, and fails in our words."""
    has_workers = any(loader.num_workers for loader in loaders)
    if device.type == "cpu":
        keep_freed_memory()
    with (
        DeferredSignals() as signals,
        deterministic(device, enabled=config.deterministic, compiled=config.compile),
        out_of_memory_errors("train", fix=_LESS_MEMORY),
        batch_norm_errors(),
        lost_workers_reported(has_workers),
        _shared_by_ranks(*loaders),
    ):
        yield signals


def _train_module(
    net: nn.Module,
    objective: Objective,
    config: FitConfig,
    device: torch.device,
    precision: str,
    mean: Sequence[float],
    std: Sequence[float],
    mixup: Mixup | None,
) -> TrainModule:
    """Move the network to the device and wrap it, in the one order that works.

    Batch norm is replaced before the network is compiled; data parallel comes last.
    """
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    net.train().to(device).to(memory_format=layout)
    net = distributed.synchronise_batch_norm(net, device)
    return TrainModule(
        net,
        objective.task_on(device),
        objective.loss_module(),
        mean=tuple(mean),
        std=tuple(std),
        mixup=mixup,
        amp_dtype=AMP_DTYPES[precision],
        channels_last=config.channels_last,
        compiled=_compiled(net) if config.compile else None,
        metric=objective.metric,
        gaps=objective.gaps,
    )


def _compiled(net: nn.Module) -> nn.Module:
    # A graph for each batch size. torch would make one for all sizes after it has seen two, with
    # other bits; a resumed training sees the sizes in another order.
    compiled = torch.compile(net, dynamic=False)
    assert isinstance(compiled, nn.Module)
    return compiled


def _identity(loop: Loop) -> Mapping[str, object]:
    """Return what must be equal for a checkpoint to be of this training."""
    module, config, sampler = loop.module, loop.config, loop.train_loader.sampler
    choices = {
        name: getattr(config, name)
        for name in FitConfig.model_fields
        if name not in ("accelerator", "checkpoint_steps", "deterministic", "precision")
    }
    return {
        "network": [[name, *t.shape] for name, t in module.net.state_dict().items()],
        "rows": [len(sampler.rows), sampler.batch_size, sampler.seed],
        "task": [module.task.name, type(module.loss).__name__, loop.seed, module.mean, module.std],
        "mixup": repr(module.mixup),
        "monitor": [module.monitor.name, module.monitor.best],
        "config": choices,
        "device": [module.device.type, str(module.amp_dtype)],
        "deterministic": config.deterministic or module.device.type != "cuda",
        "ranks": distributed.world_size(),
    }


@contextmanager
def _shared_by_ranks(*loaders: Loader) -> Iterator[None]:
    """Return a context in which the loaders read this rank's share of the rows.

    Their worker processes end with it.
    """
    for loader in loaders:
        loader.start(0)
        loader.sampler.share(distributed.rank(), distributed.world_size())
    try:
        yield
    finally:
        for loader in loaders:
            loader.close()
            loader.start(0)
            loader.sampler.share(0, 1)


def _check_sizes(train_loader: Loader, val_loader: Loader, config: FitConfig) -> None:
    ranks = distributed.world_size()
    for loader, purpose in ((train_loader, "train on"), (val_loader, "validate with")):
        if loader is val_loader and not len(loader) and not config.compares_epochs:
            continue
        if not len(loader):
            raise DataError(
                f"there are no images to {purpose}",
                found="0 batches",
                fix="change the split: this fold leaves none; or, for fold all, set train.select "
                "to last and train.schedule to another than plateau",
            )
        images, batch_size = len(loader.sampler.rows), loader.sampler.batch_size
        if min(images, batch_size) < ranks:
            raise ParamsError(
                f"there are too few images to {purpose} on so many devices",
                found=f"{images} images in batches of {batch_size}",
                expected=f"{ranks} or more of each: one a device",
                fix="lower train.devices, or raise train.batch_size",
            )


def leaves_one(images: int, batch_size: int) -> bool:
    """Return whether an epoch's last batch would hold a single image.

    Batch norm cannot take the variance of a single value, and that of one image is noise: the
    loader should drop that batch. Shuffled, it is another image in every epoch.

    Example:
        >>> leaves_one(9, 4), leaves_one(10, 4), leaves_one(1, 4)
        (True, False, False)
    """
    return batch_size > 1 and images > 1 and images % batch_size == 1


@contextmanager
def batch_norm_errors() -> Iterator[None]:
    """Turn batch norm's error about a single value a channel into one that names parameters.

    Raises:
        ParamsError: In place of torch's ValueError.
    """
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
