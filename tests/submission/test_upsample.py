from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import DataError
from darkroom.images import rle
from darkroom.images.geometry import Box
from darkroom.images.rle import Runs
from darkroom.submission import upsample
from darkroom.submission.upsample import encode_probabilities

Floats = npt.NDArray[np.float32]

TIE = 1e-4
"""How near the threshold a value must lie for ours and cv2's to differ in its side.

cv2 5 rounds values to float32, 1e-7. cv2 4 also rounds the places of samples to float32: at
column 1024 by up to 2^-14, which moves a value by as much of the step between neighbours.
"""


def enlarged(probabilities: Floats, height: int, width: int) -> Floats:
    grid = np.ascontiguousarray(probabilities)
    picture: Floats = cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
    return picture


def mask_of(kind: str, height: int, width: int, seed: int) -> Floats:
    """Return probabilities (height, width): noise, smooth blobs, hard 0/1 or few values."""
    noise = np.random.default_rng(seed).random((height, width), np.float32)
    if kind == "smooth":
        blurred = cv2.GaussianBlur(noise, (0, 0), 3)
        noise = np.clip((blurred - 0.5) * 6 + 0.5, 0, 1).astype(np.float32)
    if kind == "hard":
        noise = np.rint(noise)
    if kind == "steps":
        noise = (np.rint(noise * 4) / 4).astype(np.float32)
    return noise


def assert_same_but_for_ties(
    probabilities: Floats, threshold: float, height: int, width: int, **options: Any
) -> int:
    """Hold ours against cv2's picture; return the number of pixels that differ."""
    order = options.get("runs", Runs()).order
    text = encode_probabilities(probabilities, threshold, height, width, **options)
    ours = rle.decode(text, height, width, order)
    assert rle.encode(ours, order) == text  # no touching runs: the only text of its mask
    box = options.get("box") or Box(0, 0, height, width)
    values = np.full((height, width), -np.inf, np.float32)
    inner = enlarged(probabilities, box.height, box.width)
    values[box.top : box.top + box.height, box.left : box.left + box.width] = inner
    differ = ours != (values > np.float32(threshold))
    assert np.abs(values[differ] - threshold).max(initial=0) < TIE
    return int(differ.sum())


@pytest.mark.parametrize("dense_share", [0.0, 2.0])
def test_a_known_crossing(dense_share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples of 0, 1 at four times the size lie at 0, 0, 1/8, 3/8, 5/8, 7/8, 1, 1."""
    monkeypatch.setattr(upsample, "_DENSE_SHARE", dense_share)
    row = np.array([[0, 1], [0, 1]], np.float32)
    assert encode_probabilities(row, 0.5, 2, 8) == "5 4 13 4"
    assert encode_probabilities(row, 0.3, 2, 8) == "4 5 12 5"
    assert encode_probabilities(row, 0.375, 2, 8) == "5 4 13 4"  # greater, not equal
    assert encode_probabilities(row[:, ::-1], 0.375, 2, 8) == "1 4 9 4"
    assert encode_probabilities(row, 0.5, 2, 8, runs=Runs("column")) == "9 8"
    assert encode_probabilities(row.T, 0.5, 8, 2) == "9 8"


@pytest.mark.parametrize("order", ["row", "column"])
def test_nothing_everything_and_the_edges(order: rle.Order) -> None:
    grid = np.zeros((6, 5), np.float32)
    assert encode_probabilities(grid, 0.5, 20, 30, runs=Runs(order)) == ""
    assert encode_probabilities(grid + 1, 0.5, 20, 30, runs=Runs(order)) == "1 600"
    grid[0] = grid[-1] = 1
    grid[:, 0] = grid[:, -1] = 1
    assert assert_same_but_for_ties(grid, 0.5, 20, 30, runs=Runs(order)) == 0


def test_a_threshold_that_nothing_or_everything_passes() -> None:
    grid = mask_of("noise", 9, 9, 0)
    assert encode_probabilities(grid, 1.0, 20, 20) == ""
    assert encode_probabilities(grid, -0.1, 20, 20) == "1 400"


@given(
    kind=st.sampled_from(["noise", "smooth", "hard", "steps"]),
    small=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    large=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    threshold=st.sampled_from([0.5, 0.25, 0.3, 0.87]),
    order=st.sampled_from(["row", "column"]),
    margins=st.tuples(*[st.integers(0, 9)] * 4),
    seed=st.integers(0, 1000),
    dense_share=st.sampled_from([0.0, 2.0, upsample._DENSE_SHARE]),
)
def test_it_equals_cv2_at_any_size(
    kind: str,
    small: tuple[int, int],
    large: tuple[int, int],
    threshold: float,
    order: rle.Order,
    margins: tuple[int, int, int, int],
    seed: int,
    dense_share: float,
) -> None:
    above, below, left, right = margins
    box = Box(above, left, *large)
    height, width = above + large[0] + below, left + large[1] + right
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upsample, "_DENSE_SHARE", dense_share)
        assert_same_but_for_ties(
            mask_of(kind, *small, seed), threshold, height, width, runs=Runs(order), box=box
        )


@pytest.mark.parametrize("order", ["row", "column"])
@pytest.mark.parametrize("kind", ["noise", "smooth"])
def test_ties_are_rare(kind: str, order: rle.Order, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are uniform near the threshold, ties 1e-7 wide: less than 1 pixel in 10^5."""
    monkeypatch.setattr(upsample, "_DENSE_SHARE", 2.0)
    grid = mask_of(kind, 256, 256, 3)
    differing = assert_same_but_for_ties(grid, 0.4, 320, 480, runs=Runs(order))
    assert differing <= 2 + 320 * 480 * TIE


def test_strides_do_not_matter() -> None:
    padded = mask_of("smooth", 64, 96, 1)
    for part in (padded[8:56], padded[:, 10:70], padded.T, padded[::-1, ::2]):
        whole = encode_probabilities(np.ascontiguousarray(part), 0.5, 130, 150)
        assert whole
        assert encode_probabilities(part, 0.5, 130, 150) == whole


def test_the_same_size_is_a_plain_threshold() -> None:
    grid = mask_of("noise", 50, 70, 2)
    for order in ("row", "column"):
        expected = rle.encode(grid > np.float32(0.3), order)
        assert encode_probabilities(grid, 0.3, 50, 70, runs=Runs(order)) == expected


@pytest.mark.parametrize("dense_share", [0.0, 2.0])
def test_a_crossing_that_rounds_to_the_next_pixel(
    dense_share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upsample, "_DENSE_SHARE", dense_share)
    grid = np.full((3, 9), -1, np.float32)
    grid[1, 4:] = [1e-30, 1, 1, 1, 1]
    assert encode_probabilities(grid, 0.0, 3, 9) == "14 5"


@pytest.mark.parametrize("dense_share", [0.0, 2.0])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_outline_that_is_not_finite_is_refused(
    value: float, dense_share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upsample, "_DENSE_SHARE", dense_share)
    grid = np.zeros((40, 40), np.float32)
    grid[10:20, 10:20] = 1
    grid[15, 12:25] = value
    with pytest.raises(DataError, match="not finite\n  expected: 0 to 1"):
        encode_probabilities(grid, 0.5, 80, 80)


def test_a_box_past_the_border_is_refused() -> None:
    with pytest.raises(ValueError, match="not within 10x10"):
        encode_probabilities(np.zeros((4, 4), np.float32), 0.5, 10, 10, box=Box(3, 0, 8, 10))
