"""The trial finds what a transform would do to a training."""

from typing import Any

import albumentations
import numpy as np
import pytest

from darkroom.errors import ParamsError
from darkroom.training.augment.transforms import named_transforms
from darkroom.training.augment.trial import check_transforms


class Changed(albumentations.DualTransform):  # type: ignore[misc]  # untyped
    """A transform that does what it is message."""

    def __init__(self, change: Any, of_mask: Any = None) -> None:
        super().__init__(p=1.0)
        self.change, self.of_mask = change, of_mask or (lambda mask: mask)

    def apply(self, img: np.ndarray, **_: Any) -> np.ndarray:
        return np.asarray(self.change(img))

    def apply_to_mask(self, mask: np.ndarray, **_: Any) -> np.ndarray:
        return np.asarray(self.of_mask(mask))


def error_of(transform: Any, *, planes: int = 1) -> str:
    with pytest.raises(ParamsError) as fault:
        check_transforms([transform], (32, 48), planes=planes)
    return str(fault.value)


def test_a_transform_without_faults_passes() -> None:
    check_transforms([Changed(np.copy), *named_transforms([{"Rotate": {}}])], (32, 48), planes=1)


def test_a_transform_that_does_not_repeat_itself_is_refused_by_name() -> None:
    free = np.random.default_rng(0)
    message = error_of(
        Changed(lambda image: image + free.integers(0, 9, image.shape, dtype=np.uint8))
    )
    assert "train.augment: Changed gives another result with the same seed" in message
    assert "to do: change its arguments, or take Changed out of train.augment" in message


def test_another_mask_the_second_time_is_refused() -> None:
    free = np.random.default_rng(0)
    message = error_of(Changed(np.copy, lambda mask: free.permutation(mask)))
    assert "gives another result" in message


def test_masks_of_other_values_are_refused() -> None:
    assert "Changed gives masks the value 255" in error_of(
        Changed(np.copy, lambda mask: mask * 255)
    )
    message = error_of(named_transforms([{"CoarseDropout": {"fill_mask": 7}}])[0])
    assert "train.augment: CoarseDropout gives masks the value 7, not only 0 and 1" in message


def test_other_types_are_refused() -> None:
    message = error_of(Changed(np.float32), planes=0)
    assert "Changed makes of the image an array of float32, shape (32, 48, 3)" in message
    assert "array of uint8, shape (32, 48, 1)" in error_of(Changed(lambda image: image[..., :1]))


def test_another_size_is_refused() -> None:
    assert "from 32 x 48 to 16 x 48 (height x width)" in error_of(Changed(lambda image: image[::2]))


def test_failures_are_reported_with_the_image_size() -> None:
    message = error_of(named_transforms([{"MaskDropout": {}}])[0], planes=0)
    assert "MaskDropout cannot be applied to a picture of 32 x 48 (height x width)" in message
    assert "ValueError: MaskDropout requires ['mask'] missing keys" in message


def test_members_of_groups_are_tried_whatever_their_p() -> None:
    rare = {"Sequential": {"transforms": [{"Transpose": {"p": 0.001}}], "p": 0.001}}
    group = named_transforms([{"OneOf": {"transforms": [{"Blur": {}}, rare]}}])
    with pytest.raises(ParamsError, match="Transpose changes the size of the image"):
        check_transforms(group, (32, 48), planes=0)
