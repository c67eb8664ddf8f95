"""The device, the precision and the determinism of a training."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from darkroom.errors import ParamsError, ResourceError
from darkroom.models.device import choose_device, has_bf16
from darkroom.params.train import FitConfig
from darkroom.project.paths import PARAMS
from darkroom.training import distributed

# Of glibc's malloc.h, with the greatest values that mallopt takes.
_MMAP_THRESHOLD, _MOST_IN_HEAP = -3, 32 * 2**20
_TRIM_THRESHOLD, _MOST_KEPT = -1, 2**31 - 1


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
        raise ParamsError("train.devices must be 1 on mps", file=PARAMS, found=processes)
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


def choose_precision(config: FitConfig, device: torch.device, task: str) -> str:
    """Return in what matrix products and convolutions compute; float32: no mixed precision.

    Says on stderr where bf16 is slower than float32: on a processor that emulates it.

    `auto` is float32 but on an NVIDIA GPU, and there for regression: half precision has some three
    digits, and a value may need more. Else it is bf16, or fp16 on GPUs that emulate bf16.

    Args:
        config: Its `precision` is a choice of the user's, or "auto".
        device: Of the training.
        task: A name of `darkroom.tasks.table.TASKS`.

    Returns:
        A key of `darkroom.models.device.AMP_DTYPES`.

    Raises:
        ParamsError: fp16 on another device than cuda: gradients are scaled there alone.
    """
    if config.precision == "auto":
        if device.type != "cuda" or task == "regression":
            return "float32"
        return "bf16" if has_bf16(device) else "fp16"
    if config.precision == "fp16" and device.type != "cuda":
        raise ParamsError(
            "train.precision: fp16 needs an NVIDIA GPU",
            file=PARAMS,
            found=f"accelerator {device.type}",
            fix="set train.precision to auto",
        )
    if config.precision == "bf16" and device.type == "cpu" and not _computes_bf16():
        print(
            "train.precision: this processor emulates bf16, several times slower than float32; "
            "set it to auto",
            file=sys.stderr,
        )
    return config.precision


def _computes_bf16() -> bool:
    """Return whether the processor has instructions for bf16; True where torch does not say."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return not capabilities or any(capabilities[key] for key in capabilities if "bf16" in key)


@contextmanager
def deterministic(
    device: torch.device, *, enabled: bool = True, compiled: bool = False
) -> Iterator[None]:
    """Return a context in which torch uses deterministic algorithms only.

    Some algorithms have no deterministic form on a GPU: there torch warns, else it raises.

    Args:
        device: Of the training.
        enabled: False lets a GPU use any algorithm; other devices are not faster for it.
        compiled: Whether networks are compiled within: torch.compile has a switch of its own.

    Raises:
        ParamsError: torch has no such switch, and may choose a GPU's kernels by their speed.
    """
    if not enabled and device.type == "cuda":
        yield
        return
    if compiled and device.type == "cuda":
        _require_switch()
    before = torch.get_deterministic_debug_mode()
    before_fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    if device.type == "cuda":
        # cuBLAS is deterministic only with a workspace of its own for each stream.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    _set_deterministic(2 if device.type == "cpu" else 1, compiled=compiled)
    # Else each new tensor is filled with NaN before it is written: a help to find kernels that
    # read what nobody wrote, for 5 to 7 % of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = before_fill  # type: ignore[attr-defined]
        _set_deterministic(before, compiled=compiled)


def _require_switch() -> None:
    from torch._inductor import config  # noqa: PLC0415  (more than a second of processor time)

    if not hasattr(config, "deterministic"):
        raise ParamsError(
            "train.compile is not repeatable on a GPU with this torch",
            file=PARAMS,
            found=f"torch {torch.__version__}",
            expected="one that has torch._inductor.config.deterministic",
            fix="install a newer torch, or set train.compile or train.deterministic to false",
        )


def _set_deterministic(mode: int, *, compiled: bool) -> None:
    """Choose the algorithms: 0 any, 1 a warning where one is not deterministic, 2 an error."""
    if compiled:
        torch.use_deterministic_algorithms(mode > 0, warn_only=mode == 1)
    else:  # the function above imports the whole compiler: more than a second of processor time
        torch.set_deterministic_debug_mode(mode)


def keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next tensors, in this process from now on.

    Each step on a CPU frees what the next one takes. glibc would return it to the system, and get
    it back page by page, each filled with zeros: a tenth of the time of small networks. Other C
    libraries, and tensors of more than 32 MiB, are left as they are.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, _MOST_IN_HEAP)
            mallopt(_TRIM_THRESHOLD, _MOST_KEPT)
