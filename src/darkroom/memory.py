"""Memory that runs out while a network works, on a GPU or off it, and what to make smaller."""

from collections.abc import Iterator
from contextlib import contextmanager

from darkroom.errors import ResourceError

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
