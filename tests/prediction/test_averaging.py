import numpy as np
import pytest

from darkroom.errors import ArtifactError
from darkroom.prediction.averaging import averaged
from darkroom.prediction.predictions import Prediction

IDS = ["a", "b", "c", "d", "e"]


def source(values: list[float], size: int, *, first: int = 0) -> list[Prediction]:
    """Return a source of predictions, in batches of a size."""
    rows = np.array(values, np.float32)[:, None]
    ids = IDS[first : first + len(values)]
    originals = np.full((len(values), 2), 7)
    parts = [slice(start, start + size) for start in range(0, len(values), size)]
    return [Prediction(ids[part], rows[part], originals[part]) for part in parts]


def values_of(batches: object) -> list[float]:
    return [float(v) for batch in batches for v in batch.probabilities[:, 0]]  # type: ignore[attr-defined]


def test_the_mean_of_two() -> None:
    mean = averaged([source([0, 0.5, 1], 2), source([1, 0.5, 0.5], 2)])
    assert values_of(mean) == [0.5, 0.5, 0.75]


def test_weights_need_not_add_up_to_1() -> None:
    mean = averaged([source([0, 1], 2), source([1, 0], 2)], [3, 1])
    assert values_of(mean) == [0.25, 0.75]


def test_of_one_it_is_the_same_to_the_bit() -> None:
    values = np.random.default_rng(0).random(5, np.float32).tolist()
    assert values_of(averaged([source(values, 2)])) == values


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_batches_may_differ_in_size(size: int) -> None:
    mean = list(averaged([source([0, 0, 0, 0, 0], 2), source([1, 2, 3, 4, 5], size)]))
    assert values_of(mean) == [0.5, 1, 1.5, 2, 2.5]
    assert [batch.ids for batch in mean] == [["a", "b"], ["c", "d"], ["e"]]


@pytest.mark.parametrize(
    "other",
    [source([1, 1], 2), source([1, 1, 1, 1], 2), source([1, 1, 1], 3, first=1)],
)
def test_other_images_are_refused(other: list[Prediction]) -> None:
    with pytest.raises(ArtifactError, match="of different images") as caught:
        list(averaged([source([0, 0, 0], 2), other]))
    for words in ("found: ", "expected: the same images", "to do: run `dvc repro`"):
        assert f"\n  {words}" in str(caught.value)


def test_other_shapes_are_refused() -> None:
    wide = [part._replace(probabilities=np.ones((1, 2), np.float32)) for part in source([1], 1)]
    with pytest.raises(ArtifactError, match=r"different shapes\n  found: \(1,\) and \(2,\)"):
        list(averaged([source([0], 1), wide]))


def test_weights_without_a_sum_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="weights"):
        list(averaged([source([0], 1)], [0.0]))
