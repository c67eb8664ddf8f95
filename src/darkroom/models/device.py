"""Memory that runs out while a network works, on a GPU or off it, and what to make smaller."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from darkroom.errors import ParamsError, ResourceError

# torch.OutOfMemoryError is a RuntimeError, and the CPU's allocators raise nothing narrower.
_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")


@contextmanager
def enough(to: str, *, fix: str) -> Iterator[None]:
    """Turn what torch and numpy raise for want of memory into a ResourceError.

    Args:
        to: What the memory is for: "train".
        fix: Which parameters to lower.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        words = str(error)
        if isinstance(error, RuntimeError) and not any(sign in words for sign in _SIGNS):
            raise
        raise ResourceError(
            f"there is not enough memory to {to}",
            found=words.splitlines()[0] if words else type(error).__name__,
            fix=fix,
        ) from error


def device_for(accelerator: str) -> torch.device:
    """Return where to compute: "cpu", "cuda", "mps"; "auto" is cuda where there is one.

    Raises:
        ParamsError: Another word.
        ResourceError: This machine has no such device.
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
            expected=f"one of {', '.join(name for name, here in present.items() if here)}",
            fix="accelerator: auto takes what there is",
        )
    return torch.device(accelerator)
