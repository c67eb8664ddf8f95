"""How large the numbers may be that servers tell, to be believed."""

MOST_VERSIONS = 10**9
_MOST_BYTES = 10**15


def plausible(size: object) -> int | None:
    """Return a size as a server tells it, in bytes; None, not told, if no file is so large."""
    return size if type(size) is int and 0 <= size <= _MOST_BYTES else None
