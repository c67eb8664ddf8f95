"""Objects in masks that can be drawn by hand, and rules that hold for any mask."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from darkroom.images.geometry import cv2
from darkroom.images.objects import Cleanup, find_objects, plane_objects

Mask = npt.NDArray[np.uint8]
SEPARATE = Cleanup(separate=True)


def discs(size: int, *circles: tuple[int, int, int]) -> Mask:
    """Return a mask (size, size) of discs: row, column and radius, px."""
    y, x = np.mgrid[:size, :size]
    inside = [np.hypot(y - row, x - column) <= radius for row, column, radius in circles]
    mask: Mask = np.any(inside, axis=0).astype(np.uint8)
    return mask


def numbers(mask: Mask, cleanup: Cleanup) -> list[int]:
    return sorted(set(find_objects(mask, cleanup).ravel().tolist()))


def clean_mask(mask: npt.NDArray[Any], cleanup: Cleanup) -> Mask:
    return (find_objects(mask, cleanup) > 0).view(np.uint8)


def test_objects_are_numbered_by_their_first_pixel_along_the_rows() -> None:
    mask = np.array([[0, 0, 0, 1], [1, 0, 0, 0], [1, 0, 1, 1]], np.uint8)
    assert find_objects(mask).tolist() == [[0, 0, 0, 1], [2, 0, 0, 0], [2, 0, 3, 3]]
    assert find_objects(mask.T).tolist() == [[0, 1, 1], [0, 0, 0], [0, 0, 2], [3, 0, 2]]


def test_pixels_that_touch_at_a_corner_are_one_object() -> None:
    assert find_objects(np.eye(3, dtype=np.uint8)).tolist() == np.eye(3).tolist()


def test_a_hole_of_a_ring_is_filled_and_a_bay_is_not() -> None:
    ring = discs(21, (10, 10, 9)) - discs(21, (10, 10, 5))
    assert np.array_equal(clean_mask(ring, Cleanup(fill_holes=True)), discs(21, (10, 10, 9)))
    ring[10, :10] = 0  # a channel to the outside
    assert np.array_equal(clean_mask(ring, Cleanup(fill_holes=True)), ring)


def test_a_hole_at_the_edge_of_the_picture_is_a_bay() -> None:
    mask = np.array([[1, 0, 1], [1, 1, 1]], np.uint8)
    assert np.array_equal(clean_mask(mask, Cleanup(fill_holes=True)), mask)


def test_a_hole_behind_a_corner_is_a_hole() -> None:
    mask = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.uint8)
    filled = clean_mask(mask, Cleanup(fill_holes=True))
    assert filled.tolist() == [[0, 1, 0], [1, 1, 1], [0, 1, 0]]


@pytest.mark.parametrize(("area", "left"), [(0, 7), (1, 7), (2, 6), (3, 4), (5, 0)])
def test_objects_of_fewer_pixels_are_dropped(area: int, left: int) -> None:
    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 0]], np.uint8)
    assert clean_mask(mask, Cleanup(min_area=area)).sum() == left


@pytest.mark.parametrize(
    ("cleanup", "left"),
    [
        (Cleanup(largest=True), [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 0]]),
        (Cleanup(largest=True, min_area=5), np.zeros((3, 5)).tolist()),
    ],
)
def test_the_largest_object_alone(cleanup: Cleanup, left: list[list[int]]) -> None:
    mask = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 0]], np.uint8)
    assert find_objects(mask, cleanup).tolist() == left


def test_the_largest_object_with_its_hole_and_the_first_of_equals() -> None:
    ring = np.zeros((5, 9), np.uint8)
    ring[:3, :3], ring[1, 1], ring[4] = 1, 0, 1  # eight pixels around a hole; a line of nine
    assert clean_mask(ring, Cleanup(largest=True))[4].all()
    ring[4, 0] = 0  # eight pixels too: the ring comes first
    assert clean_mask(ring, Cleanup(largest=True)).sum(axis=1).tolist() == [3, 2, 3, 0, 0]
    ring[4, 0] = 1
    filled = clean_mask(ring, Cleanup(largest=True, fill_holes=True))
    assert filled.sum(axis=1).tolist() == [3, 3, 3, 0, 0], "nine pixels and first"


@given(hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 1)))
def test_the_largest_object_is_one_of_all(mask: Mask) -> None:
    labels = find_objects(mask)
    areas = np.bincount(labels.ravel(), minlength=1)[1:]
    kept = find_objects(mask, Cleanup(largest=True)) > 0
    assert kept.sum() == (areas.max() if areas.size else 0)
    assert not kept.any() or len(set(labels[kept].tolist())) == 1
    assert not (kept & (mask == 0)).any()


def test_nothing_is_left_of_an_empty_mask() -> None:
    assert not find_objects(np.zeros((3, 3), np.uint8), Cleanup(largest=True)).any()


def test_what_may_change_a_mask() -> None:
    assert not Cleanup(min_area=1, separate=True).changes_masks
    assert Cleanup(min_area=2).changes_masks
    assert Cleanup(fill_holes=True).changes_masks
    assert Cleanup(largest=True).changes_masks


def test_a_hole_is_filled_before_areas_are_counted() -> None:
    ring = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
    assert clean_mask(ring, Cleanup(min_area=9, fill_holes=True)).sum() == 9


@pytest.mark.parametrize("radius", [5, 8, 20, 60])
def test_two_touching_discs_become_two(radius: int) -> None:
    size = 4 * radius + 10
    distance = round(1.8 * radius)
    left, right = radius + 3, radius + 3 + distance
    mask = discs(size, (size // 2, left, radius), (size // 2, right, radius))
    assert numbers(mask, Cleanup()) == [0, 1]
    labels = find_objects(mask, SEPARATE)
    assert np.unique(labels).tolist() == [0, 1, 2]
    assert labels[size // 2, left] != labels[size // 2, right]
    middle, margin = (left + right) / 2, 1 + 0.1 * radius
    columns = np.arange(size)
    assert not (labels[:, columns < middle - margin] == labels[size // 2, right]).any()
    assert not (labels[:, columns > middle + margin] == labels[size // 2, left]).any()


def test_a_small_disc_is_parted_from_a_large_one_at_their_neck() -> None:
    large, small = discs(80, (40, 30, 22)), discs(80, (40, 58, 8))
    labels = find_objects(large | small, SEPARATE)
    assert np.unique(labels).tolist() == [0, 1, 2]
    assert (labels == labels[40, 30])[(large & ~small) > 0].mean() > 0.98
    assert (labels == labels[40, 58])[(small & ~large) > 0].mean() > 0.9


def test_a_chain_and_a_cluster_are_parted() -> None:
    row = discs(110, *[(50, 15 + 18 * k, 10) for k in range(5)])
    assert numbers(row, SEPARATE) == [0, 1, 2, 3, 4, 5]
    cluster = discs(70, (25, 25, 10), (25, 44, 10), (42, 34, 10))
    assert numbers(cluster, SEPARATE) == [0, 1, 2, 3]


def test_one_object_stays_one() -> None:
    ellipse = np.zeros((60, 120), np.uint8)
    cv2.ellipse(ellipse, (60, 30), (50, 12), 20, 0, 360, 1, -1)
    square, bar = np.zeros((2, 50, 50), np.uint8)
    square[8:40, 8:40] = 1
    bar[20:27, 3:47] = 1
    ring = discs(60, (30, 30, 25)) - discs(60, (30, 30, 12))
    for mask in (ellipse, square, bar, ring, discs(50, (25, 25, 20)), discs(50, (0, 0, 20))):
        assert numbers(mask, SEPARATE) == [0, 1]


def test_a_rough_edge_does_not_part_an_object() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:80, :80]
    rough = np.hypot(y - 40, x - 40) <= 28 + rng.uniform(-1.5, 1.5, (80, 80))
    labels = find_objects(clean_mask(rough, Cleanup(min_area=20, fill_holes=True)), SEPARATE)
    assert np.unique(labels).tolist() == [0, 1]


def test_a_thorn_that_is_hardly_thicker_than_its_stem_stays() -> None:
    mask = discs(40, (20, 12, 9))
    mask[20, 12:32] = 1
    mask[19:22, 30] = 1  # a cross: its middle lies 1.4 px from the background, the stem 1
    assert numbers(mask, SEPARATE) == [0, 1]


def test_of_two_rings_around_a_hole_one_fills_it() -> None:
    rings = np.stack(
        [
            discs(31, (15, 15, 14)) - discs(31, (15, 15, 12)),
            discs(31, (15, 15, 8)) - discs(31, (15, 15, 5)),
        ]
    ).astype(np.bool_)
    cleanup = Cleanup(fill_holes=True)
    outer, inner = (plane > 0 for plane in plane_objects(rings, cleanup, exclusive=True))
    assert np.array_equal(outer | inner, discs(31, (15, 15, 14)))
    assert not (outer & inner).any()
    assert np.array_equal(inner & rings[1], rings[1])
    both = plane_objects(rings, cleanup, exclusive=False)
    assert np.array_equal(both[1] > 0, discs(31, (15, 15, 8)))


def test_a_mask_of_ones_is_one_object() -> None:
    for cleanup in (Cleanup(), Cleanup(5, True, True)):
        assert find_objects(np.ones((9, 7), np.uint8), cleanup).tolist() == [[1] * 7] * 9


@given(
    hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24)),
    st.booleans(),
    st.integers(0, 5),
)
def test_parting_moves_no_pixel(mask: npt.NDArray[np.bool_], coarse: bool, area: int) -> None:
    if coarse:  # blobs, of which some touch
        mask = np.kron(mask, np.ones((3, 3), np.bool_))
    labels = find_objects(mask, SEPARATE)
    assert labels.dtype == np.int32
    assert np.array_equal(labels > 0, mask)
    joined = find_objects(mask)
    for number in range(1, int(labels.max()) + 1):
        part = labels == number
        assert np.unique(joined[part]).size == 1  # no part of two components
        assert cv2.connectedComponents(part.astype(np.uint8))[0] == 2
    firsts = [int(np.flatnonzero(labels.ravel() == k)[0]) for k in range(1, labels.max() + 1)]
    assert firsts == sorted(firsts)
    assert (np.bincount(find_objects(mask, Cleanup(area, True, True)).ravel())[1:] >= area).all()


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24)))
def test_a_filled_mask_has_no_hole_and_loses_no_pixel(mask: npt.NDArray[np.bool_]) -> None:
    filled = clean_mask(mask, Cleanup(fill_holes=True))
    assert not (mask & (filled == 0)).any()
    assert np.array_equal(clean_mask(filled, Cleanup(fill_holes=True)), filled)
    background = np.pad(1 - filled, 1, constant_values=1)
    assert cv2.connectedComponents(background, connectivity=4)[0] == 2
