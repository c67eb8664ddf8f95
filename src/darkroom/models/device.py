"""Choose the device that a network computes on; name what to make smaller when memory runs out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from darkroom.errors import ParamsError, ResourceError

AMP_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What matrix products and convolutions compute in, by the name of a precision."""

_FIRST_WITH_BF16 = 8  # the compute capability from which NVIDIA's GPUs multiply in bfloat16

# torch.OutOfMemoryError is a RuntimeError, and the CPU's allocators raise nothing narrower.
_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")


@contextmanager
def out_of_memory_errors(purpose: str, *, fix: str) -> Iterator[None]:
    """Turn the errors that torch and numpy raise when memory runs out into a ResourceError.

    Args:
        purpose: A verb, what the memory is for: "train".
        fix: Which parameters to lower.

    Raises:
        ResourceError: In place of theirs; any other error passes unchanged.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        message = str(error)
        if isinstance(error, RuntimeError) and not any(sign in message for sign in _SIGNS):
            raise
        raise ResourceError(
            f"there is not enough memory to {purpose}",
            found=message.splitlines()[0] if message else type(error).__name__,
            fix=fix,
        ) from error


def has_bf16(device: torch.device) -> bool:
    """Return whether a device is an NVIDIA GPU that multiplies in bfloat16; others emulate it."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= _FIRST_WITH_BF16


def prediction_dtype(precision: str, trained_on: str, device: torch.device) -> torch.dtype:
    """Return the dtype in which to use a network: that of its training, where it is fast.

    On another kind of device, and on a GPU that emulates bfloat16, it is float32, which any
    network can be used in.

    Args:
        precision: Of the training: a key of `AMP_DTYPES`.
        trained_on: The type of its device, such as "cuda".
        device: Where the network is used.

    Example:
        >>> prediction_dtype("bf16", "cuda", torch.device("cpu"))
        torch.float32
    """
    is_emulated = device.type == "cuda" and precision == "bf16" and not has_bf16(device)
    return torch.float32 if trained_on != device.type or is_emulated else AMP_DTYPES[precision]


def choose_device(accelerator: str) -> torch.device:
    """Return the device of an accelerator of this machine.

    Args:
        accelerator: "cpu", "cuda" or "mps"; "auto" is cuda where there is one, else mps, else cpu.

    Raises:
        ParamsError: There is no such accelerator.
        ResourceError: This machine has no such device.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    has_mps = torch.backends.mps.is_available()
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": has_mps}
    if accelerator == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if present[name]))
    if accelerator not in present:
        raise ParamsError(
            "there is no accelerator of this name",
            found=accelerator,
            expected=f"auto, {', '.join(present)}",
        )
    if not present[accelerator]:
        raise ResourceError(
            f"this machine has no {accelerator} that torch can use",
            expected=f"one of {', '.join(name for name, there in present.items() if there)}",
            fix="accelerator: auto chooses a device of this machine",
        )
    return torch.device(accelerator)
