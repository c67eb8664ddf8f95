"""Dice at every threshold: by hand, against the definition, and where it is not defined."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import ArtifactError
from darkroom.prediction import thresholds
from darkroom.prediction.thresholds import THRESHOLDS, Floats


def floats(*rows: list[float]) -> Floats:
    return np.array(rows, np.float32)


def masks(*rows: list[int]) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.array(rows, np.uint8)


def test_dice_of_half_a_mask_by_hand() -> None:
    # one of two true pixels found, one pixel too much: 2 * 1 / (2 + 2)
    curve = thresholds.dice_curve(floats([0.9, 0.1], [0.9, 0.1]), masks([1, 1], [0, 0]))
    assert curve.shape == (255,)
    assert curve[thresholds.index_of(0.5)] == 0.5
    # everything is found at 0.09, nothing at 0.91
    assert curve[thresholds.index_of(0.09)] == pytest.approx(2 * 2 / (4 + 2))
    assert curve[thresholds.index_of(0.91)] == 0


@pytest.mark.parametrize("cells", [7, 1 << 22])
def test_columns_are_counted_as_each_alone(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    monkeypatch.setattr(thresholds, "_CELLS_AT_ONCE", cells)
    rng = np.random.default_rng(2)
    probabilities = rng.choice(np.arange(513) / 512, (50, 3)).astype(np.float32)
    is_known = rng.random((50, 3)) < [1, 0.5, 0]
    present = (rng.random((50, 3)) < 0.3) & is_known
    false, true = thresholds.column_counts_above(probabilities, present, is_known)
    for k, rows in enumerate(is_known.T):
        above = probabilities[rows, k, None] > np.arange(256) / 256
        assert false[k].tolist() == above[~present[rows, k]].sum(axis=0).tolist()
        assert true[k].tolist() == above[present[rows, k]].sum(axis=0).tolist()


@pytest.mark.parametrize("pixels", [0, 1, 41])
@pytest.mark.parametrize("least", [2, 1 << 18])  # pairs of pixels, or one by one
def test_pixels_above_each_threshold_are_counted(
    monkeypatch: pytest.MonkeyPatch, least: int, pixels: int
) -> None:
    monkeypatch.setattr(thresholds, "_LEAST_PAIRS", least)
    rng = np.random.default_rng(pixels)
    steps = np.arange(257, dtype=np.float32) / 256
    probabilities = rng.choice([*steps, *np.nextafter(steps[:-1], 1)], pixels).astype(np.float32)
    levels = thresholds.thresholds_exceeded(probabilities)
    assert levels.tolist() == (probabilities[:, None] > THRESHOLDS).sum(axis=1).tolist()
    above = (probabilities[:, None] > THRESHOLDS).sum(axis=0)
    assert thresholds.counts_exceeding(levels).tolist() == above.tolist()


def test_both_empty_is_one_and_either_empty_is_zero() -> None:
    empty, full = np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)
    nothing, everything = masks([0, 0], [0, 0]), masks([1, 1], [1, 1])
    assert thresholds.dice_curve(empty, nothing).tolist() == [1.0] * 255
    assert thresholds.dice_curve(full, everything).tolist() == [1.0] * 255
    assert thresholds.dice_curve(full, nothing).tolist() == [0.0] * 255
    assert thresholds.dice_curve(empty, everything).tolist() == [0.0] * 255


def test_a_probability_equal_to_the_threshold_is_not_above_it() -> None:
    curve = thresholds.dice_curve(floats([0.5]), masks([1]))
    assert curve[thresholds.index_of(0.5)] == 0
    assert curve[thresholds.index_of(127 / 256)] == 1
    barely = np.nextafter(np.float32(0.5), np.float32(1))
    assert thresholds.dice_curve(floats([barely]), masks([1]))[thresholds.index_of(0.5)] == 1


@given(
    values=st.lists(
        st.one_of(
            st.floats(0, 1, width=32),
            st.integers(0, 256).map(lambda k: k / 256),
            st.integers(1, 255).map(lambda k: float(np.nextafter(np.float32(k / 256), 1))),
        ),
        min_size=1,
        max_size=40,
    ),
    seed=st.integers(0, 100),
)
def test_every_threshold_agrees_with_the_definition(values: list[float], seed: int) -> None:
    probabilities = np.array([values], np.float32)
    mask = np.random.default_rng(seed).integers(0, 2, probabilities.shape).astype(np.uint8)
    curve = thresholds.dice_curve(probabilities, mask)
    for k, threshold in enumerate(THRESHOLDS):
        predicted = probabilities > threshold
        area = int(predicted.sum()) + int(mask.sum())
        expected = 2 * int((predicted & (mask > 0)).sum()) / area if area else 1.0
        assert curve[k] == expected


def test_the_best_threshold_of_equals_is_nearest_to_a_half() -> None:
    curve = np.zeros(255)
    assert THRESHOLDS[thresholds.best_index(curve)] == 0.5
    curve[[9, 99, 199]] = 0.75
    assert thresholds.best_index(curve) == 99
    curve[:] = 0
    curve[[117, 137]] = 1
    assert thresholds.best_index(curve) == 117
    curve[201] = 1 + 1e-9
    assert thresholds.best_index(curve) == 201


def test_a_threshold_rounds_to_the_nearest_step() -> None:
    assert THRESHOLDS[thresholds.index_of(0.3)] == 77 / 256
    assert THRESHOLDS[thresholds.index_of(0.0001)] == 1 / 256
    assert THRESHOLDS[thresholds.index_of(0.9999)] == 255 / 256


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.01, 1.5])
def test_what_is_not_a_probability_is_refused(bad: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ArtifactError, match="a prediction is not a probability") as error:
            thresholds.dice_curve(floats([0.5, bad]), masks([0, 1]))
    assert "expected: numbers from 0 to 1" in str(error.value)


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="for a mask"):
        thresholds.dice_curve(floats([0.5, 0.5]), masks([1]))
