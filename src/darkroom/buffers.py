"""Memory for batches, used again as soon as nothing refers to it.

A batch of large images is a large block. The C library gives such a block back to the system when
it is freed, and the next one is paid for again, page by page: more than copying the pixels costs.
"""

import math
import threading
import weakref

import numpy as np
from numpy.typing import NDArray

_KEPT = 8  # blocks that wait for use; a loop needs two or three kinds, each once or twice


class Buffers:
    """Lends blocks of memory, and takes each back when its last reference dies."""

    def __init__(self) -> None:
        self._free: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["Buffers"], tuple[()]]:
        return Buffers, ()  # memory stays in its process

    def take(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return uint8 memory of that shape, contiguous, with any content.

        It is nobody else's for as long as the array, or a tensor made of it, or a view of that
        tensor lives. Views made with numpy don't count: they refer to the block behind it.
        """
        size = math.prod(shape)
        block = self._free_block(size)
        if block is None:
            block = np.empty(size, np.uint8)
        lent = block.reshape(shape)
        weakref.finalize(lent, self._give_back, block).atexit = False
        return lent

    def _free_block(self, size: int) -> NDArray[np.uint8] | None:
        with self._lock:
            for place, block in enumerate(self._free):
                if block.size == size:
                    return self._free.pop(place)
        return None

    def _give_back(self, block: NDArray[np.uint8]) -> None:
        with self._lock:
            self._free.append(block)
            del self._free[:-_KEPT]
