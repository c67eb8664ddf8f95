"""Choose the device that a network computes on; name what to make smaller when memory runs out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from darkroom.errors import ParamsError, ResourceError

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


def choose_device(accelerator: str) -> torch.device:
    """Return the device of an accelerator of this machine.

    Args:
        accelerator: "cpu", "cuda" or "mps"; "auto" is cuda where there is one, else cpu.

    Raises:
        ParamsError: There is no such accelerator.
        ResourceError: This machine has no such device.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.mps.is_available()}
    if accelerator == "auto":
        return torch.device("cuda" if present["cuda"] else "cpu")
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
