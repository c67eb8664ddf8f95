"""Arrays as pictures: axes, dtypes, and files that lie; nothing is unpickled or allocated."""

import io
import struct
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from darkroom.errors import DataError
from darkroom.raw.images import pictures
from darkroom.raw.images.npy import channel_axis, read_array, read_array_header


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def npz(compressed: bool = False, **arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def claimed(header: str, values: bytes = b"") -> bytes:
    """Return a file with a header of these words."""
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + values


PLANES = np.arange(6 * 24 * 32, dtype=np.float16).reshape(6, 24, 32) / 7


def test_planes_come_last_whichever_axis_they_are() -> None:
    by_hand = np.stack(list(PLANES), axis=2)
    for array in (PLANES, by_hand, np.asfortranarray(PLANES), PLANES.astype(">f2")):
        assert np.array_equal(read_array(npy(array), name="a.npy"), by_hand)
        header = read_array_header(npy(array), name="a.npy")
        assert (header.height, header.width, header.channels) == (24, 32, 6)
    assert np.array_equal(read_array(npz(x=PLANES), name="a.npz"), by_hand)
    assert np.array_equal(read_array(npz(True, x=PLANES), name="a.npz"), by_hand)


def test_two_axes_are_one_plane() -> None:
    assert read_array(npy(PLANES[0]), name="a.npy").shape == (24, 32, 1)
    assert pictures.count_channels(npy(PLANES[0]), name="a.npy") == 3
    assert pictures.count_channels(npy(PLANES), name="a.npy") == 6


@pytest.mark.parametrize("shape", [(9,), (6, 8, 64), (16, 16, 16), (3, 100, 3), (1, 2, 3, 4), ()])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="no picture"):
        channel_axis(shape, "a.npy")


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "pickled objects": (lambda: npy(np.array([[{}, 1], [2, 3]], object)), "no numbers"),
    "structured": (lambda: npy(np.zeros((4, 4), "i4,i4")), "no numbers"),
    "complex": (lambda: npy(np.zeros((4, 4), complex)), "no numbers"),
    "texts": (lambda: npy(np.zeros((4, 4), "U3")), "no numbers"),
    "no pixels": (lambda: npy(np.zeros((0, 4))), "no picture"),
    "cut": (lambda: npy(PLANES)[:-1], "not of the size"),
    "longer": (lambda: npy(PLANES) + b"\0", "not of the size"),
    "cut header": (lambda: npy(PLANES)[:40], "header of the array is damaged\n  found: EOF"),
    "huge claim": (
        lambda: claimed("{'descr': '<f8', 'fortran_order': False, 'shape': (60000, 60000), }"),
        "no picture",
    ),
    "large claim": (
        lambda: claimed("{'descr': '<f8', 'fortran_order': False, 'shape': (6000, 6000), }"),
        "not of the size",
    ),
    "negative": (
        lambda: claimed("{'descr': '<f8', 'fortran_order': False, 'shape': (-2, -2), }"),
        r"no picture\n  found: shape \(-2, -2\)",
    ),
    "code": (lambda: claimed("__import__('os').system('true')"), "header of the array is damaged"),
    "several": (lambda: npz(a=PLANES, b=PLANES), "several arrays"),
    "damaged zip": (lambda: npz(a=PLANES)[:-30], "cannot decode"),
    "bomb": (lambda: npz(True, a=np.zeros((20_000, 20_000, 2), np.uint8)), "too large"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n == "bomb" else []) for n in HOSTILE]
)
def test_hostile_arrays_are_refused_before_anything_is_allocated(name: str) -> None:
    build, words = HOSTILE[name]
    data = build()
    tracemalloc.start()
    with pytest.raises(DataError, match=words):
        pictures.read_samples(data, name="a.npy", levels="auto")
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
