"""The plot shows every point at its place, and notes what lies outside the window."""

import io
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from darkroom.images.sheets import EXCESS, MISSED, PAPER, RIGHT, Colour
from darkroom.submission.history import scatter
from darkroom.submission.history.scatter import Point

TEXT = (("public", "public   3 of 3 compared"), ("private", "private  3 of 3 compared"))


def pixels_of(points: Sequence[Point], rows: int = 1) -> NDArray[np.uint8]:
    data = scatter.draw_scatter(points, title="cars: local dice", metric="dice", text=TEXT[:rows])
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def public(*pairs: tuple[float, float]) -> list[Point]:
    return [Point(k, local, score, "public") for k, (local, score) in enumerate(pairs, 1)]


def discs(picture: NDArray[np.uint8], colour: Colour) -> int:
    """Return how many discs of a colour there are below the heading, seven pixels across."""
    same = (picture == colour).all(axis=2)
    same[:200] = False
    hits = same.copy()
    for step in range(1, 7):  # of a run of seven both across and down only the start is left
        hits[:, :-step] &= same[:, step:]
        hits[:-step] &= same[step:]
    rows, columns = np.nonzero(hits)
    centres: list[tuple[int, int]] = []
    for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
        if all(abs(y - v) > 9 or abs(x - u) > 9 for v, u in centres):
            centres.append((y, x))
    return len(centres)


@pytest.mark.parametrize("count", [1, 3, 12])
def test_every_point_is_there(count: int) -> None:
    points = public(*((0.9 + 0.007 * k, 0.91 + 0.005 * (k * 5 % 12)) for k in range(count)))
    picture = pixels_of(points)
    assert discs(picture, RIGHT) == count
    assert not (picture == MISSED).all(axis=2).any()
    assert tuple(picture[-1, 0]) == PAPER


def test_both_leaderboards_have_a_colour() -> None:
    points = [*public((0.5, 0.4)), Point(1, 0.5, 0.3, "private")]
    picture = pixels_of(points, rows=2)
    assert (picture == MISSED).all(axis=2).any()
    assert discs(picture, RIGHT) == 1


def test_equal_pictures_have_equal_bytes() -> None:
    points = public((0.5, 0.4), (0.6, 0.5))
    args = {"title": "cars", "metric": "dice", "text": TEXT}
    assert scatter.draw_scatter(points, **args) == scatter.draw_scatter(points, **args)  # type: ignore[arg-type]


def test_points_at_the_same_place_are_drawn() -> None:
    assert discs(pixels_of(public((0.5, 0.5), (0.5, 0.5), (0.5, 0.5))), RIGHT) == 1
    assert discs(pixels_of(public((0, 0))), RIGHT) == 1


@pytest.mark.slow
def test_a_line_far_outside_the_window_is_noted() -> None:
    """Ten times as far from the points as they are from each other."""
    near, far = public((0.99, 0.98), (0.97, 0.96)), public((0.99, 0.79), (0.97, 0.77))
    assert not (pixels_of(near) == EXCESS).all(axis=2).any()
    assert (pixels_of(far) == EXCESS).all(axis=2).any()
    assert discs(pixels_of(far), RIGHT) == 2


@pytest.mark.parametrize(
    ("xs", "ys", "across", "up"),
    [
        # one range of both, 12 percent of its length around it
        ([0.0, 1.0], [0.5, 1.0], (-0.12, 1.12), (-0.12, 1.12)),
        ([0.0], [1.0], (-0.12, 1.12), (-0.12, 1.12)),
        # far apart: each its own range, of one length
        ([0.0, 1.0], [10.0, 10.5], (-0.12, 1.12), (9.63, 10.87)),
        # a lone point: a thousandth of its size
        ([100.0], [100.0], (99.938, 100.062), (99.938, 100.062)),
    ],
)
def test_windows(
    xs: list[float], ys: list[float], across: tuple[float, float], up: tuple[float, float]
) -> None:
    window = scatter._window(xs, ys)
    assert window[0] == pytest.approx(across)
    assert window[1] == pytest.approx(up)


def test_a_point_is_labelled_with_its_number() -> None:
    one, two = Point(1, 0.5, 0.4, "public"), Point(2, 0.5, 0.4, "public")
    assert not np.array_equal(pixels_of([one]), pixels_of([two]))


WINDOW = (0.0, 0.0, 700.0, 700.0)


def test_a_label_is_up_and_right_of_its_point_if_there_is_space() -> None:
    (label,) = scatter._label_places([(300, 300)], [1 / 8], WINDOW)
    assert label == pytest.approx((300 + 20 * 0.5**0.5, 300 + 20 * 0.5**0.5))
    (label,) = scatter._label_places([(699, 699)], [1 / 8], WINDOW)
    assert max(label) < 700


@given(st.lists(st.tuples(st.integers(60, 640), st.integers(60, 640)), min_size=1, max_size=7))
def test_a_few_labels_never_overlap(points: list[tuple[float, float]]) -> None:
    labels = scatter._label_places(points, [1 / 8] * len(points), WINDOW)
    for k, label in enumerate(labels):
        assert math.dist(label, points[k]) < 43
        assert all(math.dist(label, other) > 9 for other in labels[:k])
