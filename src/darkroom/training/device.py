"""The device, the precision and the determinism of a training."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from darkroom.errors import ParamsError, ResourceError
from darkroom.models.device import choose_device
from darkroom.params.train import FitConfig
from darkroom.training import distributed


def training_device(accelerator: str) -> torch.device:
    """Return the device of this process: with several processes, the GPU of its local rank.

    Args:
        accelerator: "auto", "cpu", "cuda" or "mps".

    Raises:
        ParamsError: There is no such accelerator; or several processes cannot share it.
        ResourceError: The machine has fewer GPUs than processes.
    """
    device = choose_device(accelerator)
    processes = distributed.local_world_size()
    if device.type == "mps" and processes > 1:
        raise ParamsError("train.devices must be 1 on mps", found=processes)
    if device.type != "cuda":
        return device
    gpus = torch.cuda.device_count()
    if processes > gpus:
        raise ResourceError(
            "this machine has fewer GPUs than train.devices",
            found=gpus,
            expected=processes,
            fix=f"set train.devices to {gpus}",
        )
    return torch.device("cuda", distributed.local_rank())


def amp_dtype(config: FitConfig, device: torch.device) -> torch.dtype:
    """Return the dtype of matrix products and convolutions; float32: no mixed precision.

    Raises:
        ParamsError: fp16 on another device than cuda: gradients are scaled there alone.
    """
    if config.precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if config.precision == "fp16" and device.type != "cuda":
        raise ParamsError(
            "train.precision: fp16 needs an NVIDIA GPU",
            found=f"accelerator {device.type}",
            fix="set train.precision to auto",
        )
    return {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[
        config.precision
    ]


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Return a context in which torch uses deterministic algorithms only.

    Some algorithms have no deterministic form on a GPU: there torch warns, elsewhere it raises.
    """
    before = torch.are_deterministic_algorithms_enabled()
    before_warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    if device.type == "cuda":
        # cuBLAS is deterministic only with a workspace of its own for each stream.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=before_warn_only)
