"""Where a training computes, and in what numbers."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import SingleDeviceStrategy

from darkroom.errors import ParamsError, ResourceError
from darkroom.models.device import device_for
from darkroom.training.distributed import Team


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where a training computes, and in what numbers.

    Attributes:
        accelerator: "auto", "cpu", "cuda" or "mps".
        devices: GPUs of this machine; on a CPU processes. As many share a batch. On cuda batch
            norm takes its statistics over all of it, on a CPU each process those of its share.
        precision: Of products; "auto" is bf16 on cuda, else float32. fp16 needs cuda.
        channels_last: Store a pixel's channels side by side.
        compile: Let torch.compile fuse the network's layers.
        checkpoint_steps: Save also every so many steps of the optimiser; None: every epoch.
    """

    accelerator: str = "auto"
    devices: int = 1
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    compile: bool = False
    checkpoint_steps: int | None = None


def device_of(running: Running, rank: int) -> torch.device:
    """Return the device of a rank.

    Raises:
        ParamsError: There is no such accelerator; or it is no place for several ranks.
        ResourceError: The machine has fewer GPUs.
    """
    device = device_for(running.accelerator)
    if running.devices == 1:
        return torch.device("cuda", 0) if device.type == "cuda" else device
    if device.type == "mps":
        raise ParamsError("train.devices must be 1 on mps", found=running.devices)
    if device.type == "cuda":
        present = torch.cuda.device_count()
        if running.devices > present:
            raise ResourceError(
                "this machine has fewer GPUs than train.devices",
                found=present,
                expected=running.devices,
                fix=f"set train.devices to {present}",
            )
        return torch.device("cuda", rank)
    return device


def products(running: Running, device: torch.device) -> torch.dtype:
    """Return the type in which products are taken.

    Raises:
        ParamsError: fp16 is asked for elsewhere than on cuda, where nothing scales gradients.
    """
    if running.precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if running.precision == "fp16" and device.type != "cuda":
        raise ParamsError(
            "train.precision: fp16 needs an NVIDIA GPU",
            found=f"accelerator {device.type}",
            fix="set train.precision to auto",
        )
    kinds = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return kinds[running.precision]


class _Rank(SingleDeviceStrategy):
    """One device for Lightning; that there are more ranks is told to callbacks alone."""

    def __init__(self, device: torch.device, team: Team) -> None:
        super().__init__(device)
        self.global_rank = self.local_rank = team.rank
        self.world_size = team.world

    @property
    def is_global_zero(self) -> bool:
        return self.global_rank == 0


def trainer(
    device: torch.device,
    team: Team,
    *,
    epochs: int,
    logger: TensorBoardLogger | None,
    callbacks: list[Callback],
    work_dir: Path,
) -> Trainer:
    """Return Lightning's trainer: its loops and hooks, of which the steps are ours."""
    return Trainer(
        accelerator=device.type,
        devices=1,
        strategy=_Rank(device, team),
        # Some algorithms of a GPU have no deterministic form: there torch warns, here it refuses.
        deterministic="warn" if device.type == "cuda" else True,
        max_epochs=epochs,
        logger=logger or False,
        log_every_n_steps=1,
        callbacks=callbacks,
        default_root_dir=work_dir,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Seed every generator; put back what the trainer asks of torch for the whole process."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    seed_everything(seed, workers=True, verbose=False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's remarks on what is meant here; its other warnings are heard."""
    remarks = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = remarks.level
    remarks.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in (
            r"The '\w+' does not have many workers",  # a store in memory needs none on a CPU
            r"Found \d+ module\(s\) in eval mode",  # a frozen backbone is
            r"You're resuming from a checkpoint that ended before the epoch",  # the sampler knows
            r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning's own, with torch 2.15
        ):
            warnings.filterwarnings("ignore", message)
        try:
            yield
        finally:
            remarks.setLevel(level)
