"""Samples to bytes: values that can be worked out by hand, and any dtype alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from darkroom.errors import DataError
from darkroom.images.levels import auto_levels, check_finite, to_bytes


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float16, np.float32, np.int64])
def test_levels_are_linear_rounded_and_clipped(dtype: type) -> None:
    samples: np.ndarray = np.array([0, 100, 102, 300, 500, 501, 2000], dtype)
    assert to_bytes(samples, (100, 500), name="a").tolist() == [0, 0, 1, 128, 255, 255, 255]


def test_bytes_and_booleans_are_not_mapped() -> None:
    assert to_bytes(np.array([0, 7, 255], np.uint8), (0, 10), name="a").tolist() == [0, 7, 255]
    assert to_bytes(np.array([False, True]), None, name="a").tolist() == [0, 255]


def test_auto_is_the_range_between_two_percentiles() -> None:
    samples = np.arange(1001, dtype=np.float32)  # percentiles 0.1 and 99.9: 1 and 999
    assert auto_levels(samples) == pytest.approx((1, 999))
    mapped = to_bytes(samples, "auto", name="a")
    assert mapped[[0, 1, 500, 999, 1000]].tolist() == [0, 0, 128, 255, 255]


def test_auto_falls_back_on_the_extremes_where_nearly_all_is_equal() -> None:
    samples = np.zeros(100_000, np.uint16)
    samples[7] = 900
    assert to_bytes(samples, "auto", name="a")[[6, 7]].tolist() == [0, 255]
    assert not to_bytes(np.full(9, 900, np.uint16), "auto", name="a").any()


@given(arrays.arrays(np.float32, 30, elements=st.floats(-1e6, 1e6, width=32)))
def test_auto_uses_the_range_and_keeps_the_order(samples: np.ndarray) -> None:
    mapped = to_bytes(samples, "auto", name="a").astype(int)
    order = np.argsort(samples, kind="stable")
    assert (np.diff(mapped[order]) >= 0).all()
    if samples.min() < samples.max():
        assert (mapped.min(), mapped.max()) == (0, 255)


def test_samples_that_need_levels_name_the_key_and_their_range() -> None:
    with pytest.raises(
        DataError, match=r"(?s)a\.npy.*float32, from -2 to 3\.5.*preprocess\.levels"
    ):
        to_bytes(np.array([-2, 3.5], np.float32), None, name="a.npy")


def test_the_first_sample_that_is_not_finite_is_named() -> None:
    samples = np.zeros((4, 5, 2), np.float32)
    samples[2, 3, 1] = np.nan
    samples[3, 0, 0] = np.inf
    with pytest.raises(DataError, match=r"(?s)2 of 40, the first nan at row 2, column 3"):
        check_finite(samples, "a.npy")
