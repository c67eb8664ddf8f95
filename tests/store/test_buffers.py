import pickle

import numpy as np
import torch

from darkroom.store.loader import Buffers


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_memory_is_used_again_once_nothing_refers_to_it() -> None:
    buffers = Buffers()
    block = buffers.take((4, 5))
    first = address(block)
    del block
    assert address(buffers.take((5, 4))) == first


def test_memory_in_use_is_nobody_elses() -> None:
    buffers = Buffers()
    block = buffers.take((4, 4))
    tensor = torch.from_numpy(block).permute(1, 0)[:2]
    back = tensor.numpy()
    del block, tensor  # a view of a view of it is left
    back[:] = 7
    buffers.take((4, 4))[:] = 1
    assert (back == 7).all()


def test_another_size_takes_another_block() -> None:
    buffers = Buffers()
    del_me = buffers.take((10,))
    del del_me
    assert buffers.take((3, 3)).shape == (3, 3)


def test_few_blocks_wait() -> None:
    buffers = Buffers()
    held = [buffers.take((8,)) for _ in range(50)]
    held.clear()
    assert len(buffers._free) == 8


def test_memory_stays_in_its_process() -> None:
    buffers = Buffers()
    buffers.take((1000,))
    assert pickle.loads(pickle.dumps(buffers))._free == []
