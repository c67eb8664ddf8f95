import numpy as np
import pytest

from darkroom.errors import ArtifactError
from darkroom.images.geometry import restore
from darkroom.prediction.blending.sampling import collect, same_size
from darkroom.prediction.predictions import Header, Prediction


def batches(ids: str, size: int, offset: float) -> list[Prediction]:
    values = np.arange(len(ids), dtype=np.float32)[:, None] + np.float32(offset)
    originals = np.full((len(ids), 2), 9)
    parts = [slice(start, start + size) for start in range(0, len(ids), size)]
    return [Prediction(list(ids[part]), values[part], originals[part]) for part in parts]


def test_some_images_of_each_member() -> None:
    sources = {
        0: [batches("abcd", 2, 0), batches("abcd", 3, 0.5)],
        2: [batches("efg", 2, 4), batches("efg", 1, 4.5)],
    }
    kept = np.array([0, 3, 4, 6])
    one, other = collect(sources, kept, lambda values: values * 2)
    assert one[:, 0].tolist() == [0, 6, 8, 12]
    assert other[:, 0].tolist() == [1, 7, 9, 13]


def test_other_images_are_refused() -> None:
    with pytest.raises(ArtifactError, match="of different images"):
        collect({0: [batches("ab", 2, 0), batches("ac", 2, 0)]}, np.arange(2))


def masks(height: int, width: int, fit: str = "stretch") -> Header:
    return Header("valid", "segmentation", (1, height, width), 1, fit)  # type: ignore[arg-type]


def resized(plane: np.ndarray, own: Header, first: Header, original: tuple[int, int]) -> np.ndarray:
    source = [Prediction(["a"], plane[None, None].astype(np.float32), np.array([original]))]
    (batch,) = same_size(source, own, first)
    return np.asarray(batch.probabilities[0, 0])


def test_masks_of_one_size_are_passed_on() -> None:
    source: list[Prediction] = []
    assert same_size(source, masks(4, 6), masks(4, 6)) is source


def test_a_larger_mask_is_averaged_and_a_smaller_one_interpolated() -> None:
    plane = np.array([[1, 0, 1, 1], [0, 0, 1, 1]])
    assert resized(plane, masks(2, 4), masks(1, 2), (99, 99)).tolist() == [[0.25, 1]]
    assert resized(np.array([[0, 1]]), masks(1, 2), masks(1, 4), (99, 99)).tolist() == [
        [0, 0.25, 0.75, 1]
    ]


@pytest.mark.parametrize(("own", "to"), [("pad", "stretch"), ("stretch", "pad"), ("crop", "pad")])
def test_other_fits_show_the_same_part_of_the_original(own: str, to: str) -> None:
    """A square of the middle of an image of 40 x 80 is where it was, at either fit."""
    original = (40, 80)
    whole = np.zeros(original, np.float32)
    whole[15:25, 35:45] = 1
    from_full = resized(whole, masks(*original), masks(40, 40, own), original)
    plane = resized(from_full, masks(40, 40, own), masks(40, 40, to), original)
    shown = restore(plane, *original, to) > 0.5  # type: ignore[arg-type]
    assert (shown != (whole > 0)).mean() < 0.02
    assert shown[20, 40]
