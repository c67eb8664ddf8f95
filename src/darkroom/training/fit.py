"""Training: a network, two loaders and plain values in; the best weights and a history out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from darkroom.errors import DataError, ParamsError
from darkroom.models import device as memory
from darkroom.models.build import MEAN, STD
from darkroom.store.loader import Loader, lost_workers_reported
from darkroom.store.sampler import EpochSampler
from darkroom.tasks.losses import build
from darkroom.tasks.table import TASKS
from darkroom.training import checkpoint
from darkroom.training import device as running
from darkroom.training.batchnorm import leaves_one, single_values_told
from darkroom.training.callbacks import BestWeights, Progress
from darkroom.training.checkpoint import Place, State
from darkroom.training.checkpoints import Checkpoints
from darkroom.training.device import Running
from darkroom.training.distributed import Team, together
from darkroom.training.mixup import Mixing
from darkroom.training.module import Learner, Manner, Row
from darkroom.training.signals import Stop
from darkroom.training.step import Optimisation, Stepper

_LESS = "lower train.batch_size, or preprocess.height and width, or take a smaller model"

__all__ = ["FitResult", "Learner", "Optimisation", "Running", "fit", "leaves_one"]


@dataclass(frozen=True)
class FitResult:
    """What training leaves.

    Attributes:
        net: The network that was given, with the weights of the best epoch, on the CPU in eval
            mode.
        history: One row an epoch; see `darkroom.training.module.Learner`.
        best: The row of the best epoch.
    """

    net: nn.Module
    history: list[Row]
    best: Row


@dataclass(frozen=True)
class _Plan:
    """All that a rank must know."""

    net: nn.Module
    train_loader: Loader
    val_loader: Loader
    manner: Manner
    optimisation: Optimisation
    running: Running
    epochs: int
    patience: int
    log_dir: Path
    work_dir: Path
    callbacks: Sequence[Callback]
    begun: tuple[Place, State] | None = None


def fit(
    net: nn.Module,
    train_loader: Loader,
    val_loader: Loader,
    *,
    task: str,
    optimisation: Optimisation,
    running: Running = Running(),  # noqa: B008  (frozen)
    epochs: int,
    patience: int,
    seed: int,
    log_dir: Path,
    work_dir: Path,
    loss: nn.Module | None = None,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
    mixing: Mixing | None = None,
    callbacks: Sequence[Callback] = (),
) -> FitResult:
    """Train a network, keep the best epoch, stop when no better one comes.

    The result is a function of the arguments: to the bit, on one kind of CPU, number of threads
    and version of torch, and however often training was interrupted: it goes on from the
    checkpoint in `work_dir`, if that is of a training with these arguments.

    Args:
        net: From `darkroom.models.build`, which seeds its first weights.
        train_loader: Its order follows (its seed, epoch). See `leaves_one` for `drop_last`.
        val_loader: At least one image; in a fixed order.
        task: Its first metric, and of equals the validation loss, says which epoch is the best.
        optimisation: How the weights follow the gradient.
        running: Where it computes, in what numbers, and how often it saves.
        epochs: Passes over the training images.
        patience: Epochs in a row without a better one before stopping.
        seed: Of what is random in the network while it trains, such as dropout, and of mixing.
        log_dir: TensorBoard's events; what an interrupted run wrote too many is hidden there.
        work_dir: Where the checkpoint lies, and stays.
        loss: From `darkroom.tasks.losses.build.build`; None: the task's usual one.
        mean, std: Of the normalisation.
        mixing: Mixes the images of training batches; for labels.
        callbacks: Called on every rank; `state_dict` gives what they hold between epochs.

    Raises:
        DataError: No images to train on or to validate; or images without a target.
        ParamsError: The loss is not finite any more; or the choices do not go together.
        ResourceError: There is no such accelerator; or memory runs out.
        SystemExit: 143: a SIGTERM came; a checkpoint was written.
    """
    _check_not_empty(train_loader, val_loader, running.devices)
    loss = build.build(task) if loss is None else loss
    manner = Manner(task, loss, seed, tuple(mean), tuple(std), mixing)
    chosen = (manner, optimisation, running, epochs, patience, log_dir, work_dir)
    plan = _Plan(net, train_loader, val_loader, *chosen, tuple(callbacks))
    plan = replace(plan, begun=checkpoint.load(checkpoint.path(work_dir), _about(plan)))
    return together(running.devices, partial(_train, plan))


def _train(plan: _Plan, team: Team) -> FitResult:
    """Train on one rank."""
    device = running.device_of(plan.running, team.rank)
    place, state = plan.begun or (Place(), {})
    with (
        Stop() as stop,
        running.quiet(),
        running.deterministic(plan.manner.seed),
        _shared(plan, team),
    ):
        helped = plan.train_loader.num_workers + plan.val_loader.num_workers > 0
        with memory.enough("train", fix=_LESS), single_values_told(), lost_workers_reported(helped):
            learner = _learner(plan, device, team)
            thaw = plan.optimisation.unfreeze_epoch
            best = BestWeights(learner.task.monitor, plan.patience, thaw)
            others = [best, *plan.callbacks]
            saving = Checkpoints(
                checkpoint.path(plan.work_dir),
                _about(plan),
                every_steps=plan.running.checkpoint_steps,
                stop=stop,
                others=others,
            )
            if plan.begun:
                saving.restore(learner, place, state, len(plan.train_loader))
            if not state.get("ended"):
                shown = [Progress(best)] if team.rank == 0 else []
                _run(plan, learner, [*others, *shown, saving], place, device, team)
        best.restore(plan.net)
        stop.obey()
    return FitResult(plan.net.cpu().eval(), learner.history, best.row)


def _run(
    plan: _Plan,
    learner: Learner,
    callbacks: list[Callback],
    place: Place,
    device: torch.device,
    team: Team,
) -> None:
    """Let the trainer work through the epochs that are left."""
    _sampler(plan.train_loader).begin(place.epoch, place.batch)
    # Events of this very place were written before its checkpoint.
    purge_step = learner.seen + 1 if learner.seen else 0
    logger = TensorBoardLogger(
        plan.log_dir, name="", version="", default_hp_metric=False, purge_step=purge_step
    )
    trainer = running.trainer(
        device,
        team,
        epochs=plan.epochs,
        logger=logger if team.rank == 0 else None,
        callbacks=callbacks,
        work_dir=plan.work_dir,
    )
    if place != Place():
        checkpoint.put(trainer, place, len(plan.train_loader))
    trainer.fit(learner, plan.train_loader, plan.val_loader)


@contextmanager
def _shared(plan: _Plan, team: Team) -> Iterator[None]:
    """Let the loaders read this rank's share; afterwards the whole again."""
    samplers = [_sampler(loader) for loader in (plan.train_loader, plan.val_loader)]
    for sampler in samplers:
        sampler.begin(0)
        sampler.share(team.rank, team.world)
    try:
        yield
    finally:
        for sampler in samplers:
            sampler.begin(0)
            sampler.share(0, 1)


def _learner(plan: _Plan, device: torch.device, team: Team) -> Learner:
    layout = torch.channels_last if plan.running.channels_last else torch.contiguous_format
    net = plan.net.train().to(device).to(memory_format=layout)
    if team.world > 1 and device.type == "cuda":
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
    kind = running.products(plan.running, device)
    batches = len(plan.train_loader)
    stepper = Stepper(
        net,
        plan.optimisation,
        batches=batches,
        epochs=plan.epochs,
        best=TASKS[plan.manner.task].monitor.best,
        fp16=kind == torch.float16,
        team=team,
    )
    # One graph for all sizes of batch would have other bits than one for each, and whether it is
    # made depends on the sizes that came before: a training that goes on would not see the same.
    compiled = plan.running.compile
    ask: Callable[[Tensor], Tensor] = torch.compile(net, dynamic=False) if compiled else net
    return Learner(
        net,
        replace(plan.manner, products=kind, channels_last=plan.running.channels_last),
        stepper,
        team=team,
        ask=ask,
        whole=_sampler(plan.train_loader).whole,
    )


def _about(plan: _Plan) -> Mapping[str, object]:
    """Return what tells this training from another that would leave its checkpoint there."""
    sampler, manner = _sampler(plan.train_loader), plan.manner
    return {
        "network": [[name, *t.shape] for name, t in plan.net.state_dict().items()],
        "rows": [len(sampler.rows), sampler.batch_size, sampler.seed],
        "manner": [manner.task, type(manner.loss).__name__, manner.seed, manner.mean, manner.std],
        "mixing": repr(manner.mixing),
        "optimisation": asdict(plan.optimisation),
        "running": asdict(plan.running) | {"checkpoint_steps": None},
        "device": running.device_of(plan.running, 0).type,
        "epochs": [plan.epochs, plan.patience],
        "callbacks": [callback.state_key for callback in plan.callbacks],
    }


def _sampler(loader: Loader) -> EpochSampler:
    sampler = loader.sampler
    assert isinstance(sampler, EpochSampler)
    return sampler


def _check_not_empty(train_loader: Loader, val_loader: Loader, devices: int) -> None:
    for loader, purpose in ((train_loader, "train on"), (val_loader, "validate with")):
        if not len(loader):
            raise DataError(
                f"there are no images to {purpose}",
                found="0 batches",
                fix="look at the split: this fold leaves none",
            )
        sampler = _sampler(loader)
        if min(len(sampler.rows), sampler.batch_size) < devices:
            raise ParamsError(
                f"there are too few images to {purpose} for so many devices",
                found=f"{len(sampler.rows)} images in batches of {sampler.batch_size}",
                expected=f"{devices} or more of each: one a device",
                fix="lower train.devices, or raise train.batch_size",
            )
