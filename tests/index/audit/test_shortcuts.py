"""Whether size gives the class away: by hand, and what must not be called a shortcut."""

import numpy as np
import pytest

from darkroom.index.audit import shortcuts
from darkroom.index.audit.shortcuts import Guess


def guess(sizes: list[tuple[int, int]], values: list[float], folds: list[int]) -> Guess:
    return shortcuts.guess_from_size(
        np.array(sizes, np.int64), np.array(values), np.array(folds, np.int64), "y"
    )


def test_a_size_a_class() -> None:
    result = guess([(10, 20), (10, 20), (30, 20), (30, 20)] * 10, [0, 0, 1, 1] * 10, [0, 1] * 20)
    assert (result.accuracy, result.baseline, result.images) == (1.0, 0.5, 40)
    assert result.gives_away


def test_equal_sizes_predict_nothing() -> None:
    result = guess([(10, 20)] * 40, [0, 0, 0, 1] * 10, [0, 1, 0, 1] * 10)
    assert result.accuracy == result.baseline == 0.75
    assert not result.gives_away


def test_sizes_seen_once_are_not_remembered() -> None:
    # every image has a size of its own: what memorises sizes learns nothing
    result = guess([(k, k) for k in range(40)], [0, 0, 0, 1] * 10, [0, 1, 0, 1] * 10)
    assert result.accuracy == result.baseline == 0.75
    assert not result.gives_away


def test_images_never_validated_are_learned_from_and_not_asked() -> None:
    result = guess([(1, 1), (2, 2), (1, 1), (2, 2)], [0, 1, 0, 1], [-1, -1, 0, 0])
    assert (result.accuracy, result.images) == (1.0, 2)


def test_a_lucky_few_are_not_called_a_shortcut() -> None:
    result = guess([(1, 1), (2, 2), (1, 1), (2, 2)], [0, 1, 0, 1], [-1, -1, 0, 0])
    assert result.baseline == 0.5
    assert not result.gives_away


def test_the_target_that_size_helps_most() -> None:
    sizes = np.array([(10, 10), (20, 20)] * 20, np.int64)
    values = np.array([[1.0, 0.0], [1.0, 1.0]] * 20)
    best = shortcuts.best_guess_from_size(sizes, values, np.arange(40) // 2 % 2, ["plain", "given"])
    assert best.target == "given"
    assert best.accuracy == pytest.approx(1)
