"""Transforms are undone to the bit; images are rescaled and restored."""

import pytest
import torch
from torch import Tensor

from darkroom.params.evaluate import Predict
from darkroom.prediction.networks.tiles import Tiles
from darkroom.prediction.networks.tta import (
    D4,
    QUARTER_TURNS,
    TRANSFORMS,
    TTA,
    rescale,
    restore_size,
    tta_of,
)

SMALL = torch.tensor([[1, 2, 3], [4, 5, 6]])
EXPECTED = {
    "identity": [[1, 2, 3], [4, 5, 6]],
    "hflip": [[3, 2, 1], [6, 5, 4]],
    "vflip": [[4, 5, 6], [1, 2, 3]],
    "rot90": [[3, 6], [2, 5], [1, 4]],  # against the clock
    "rot180": [[6, 5, 4], [3, 2, 1]],
    "rot270": [[4, 1], [5, 2], [6, 3]],
    "transpose": [[1, 4], [2, 5], [3, 6]],
    "transverse": [[6, 3], [5, 2], [4, 1]],
}


def test_each_transform_does_what_its_name_says() -> None:
    assert {
        name: transform.apply(SMALL).tolist() for name, transform in TRANSFORMS.items()
    } == EXPECTED


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("shape", [(2, 3, 5, 8), (4, 7, 6), (1, 3, 1, 9)])
def test_undoing_is_exact_to_the_bit(name: str, shape: tuple[int, ...]) -> None:
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    transform = TRANSFORMS[name]
    assert torch.equal(transform.undo(transform.apply(pixels)), pixels)
    assert torch.equal(transform.apply(transform.undo(pixels)), pixels)


def test_the_transforms_are_all_the_symmetries_of_a_square() -> None:
    square = torch.arange(9).view(3, 3)
    outputs = {
        tuple(transform.apply(square).flatten().tolist()) for transform in TRANSFORMS.values()
    }
    assert len(outputs) == len(TRANSFORMS) == 8
    both = {
        tuple(two.apply(one.apply(square)).flatten().tolist())
        for one in TRANSFORMS.values()
        for two in TRANSFORMS.values()
    }
    assert both == outputs


def test_quarter_turns_swap_height_and_width() -> None:
    assert set(D4) | {"identity"} == set(TRANSFORMS)
    wide = torch.zeros(1, 3, 4, 6)
    swapping = {name for name in D4 if TRANSFORMS[name].apply(wide).shape[2:] == (6, 4)}
    assert swapping == set(QUARTER_TURNS)


def ramp(height: int, width: int) -> Tensor:
    """Return a plane that rises along both axes, (1, 1, height, width)."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return ((y + 0.5) / height + 2 * (x + 0.5) / width).view(1, 1, height, width)


@pytest.mark.parametrize(
    ("scale", "size"),
    [(0.5, (64, 96)), (1.5, (160, 288)), (0.75, (64, 128)), (0.01, (32, 32)), (1.01, (96, 192))],
)
def test_scaled_sizes_are_multiples_of_32(scale: float, size: tuple[int, int]) -> None:
    images = torch.zeros(2, 3, 104, 185)
    assert rescale(images, scale).shape[2:] == size


def test_scale_one_changes_nothing() -> None:
    images = torch.zeros(2, 3, 50, 70)
    assert rescale(images, 1.0) is images
    assert restore_size(images, (50, 70)).data_ptr() == images.data_ptr()


@pytest.mark.parametrize("scale", [0.5, 0.7, 1.3, 2.0])
def test_rescaling_keeps_positions(scale: float) -> None:
    """A plane has the same slope at another size, pixel centres apart: corners are not aligned."""
    rescaled = rescale(ramp(128, 192), scale)
    assert torch.allclose(rescaled, ramp(*rescaled.shape[2:]), atol=0.02)
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    assert torch.allclose(rescaled[inner], ramp(*rescaled.shape[2:])[inner], atol=1e-3)
    back = restore_size(rescaled, (128, 192))
    assert back.shape == (1, 1, 128, 192)
    assert torch.allclose(back, ramp(128, 192), atol=0.03)


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.6])
def test_a_constant_image_stays_constant(scale: float) -> None:
    images = torch.full((1, 3, 70, 90), 0.37)
    rescaled = rescale(images, scale)
    assert torch.allclose(rescaled, torch.tensor(0.37), atol=1e-6)
    assert torch.allclose(restore_size(rescaled, (70, 90)), torch.tensor(0.37), atol=1e-6)


def test_shrinking_is_antialiased() -> None:
    """Stripes two pixels wide, 0110, become grey; taken at points they would be all white."""
    stripes = ((torch.arange(128) + 1) // 2 % 2).float().expand(1, 1, 128, 128)
    assert (rescale(stripes, 0.25)[..., 2:-2] - 0.5).abs().max() < 0.1


def test_the_section_becomes_test_time_augmentation() -> None:
    section = Predict.model_validate(
        {"tta": ["hflip"], "scales": [0.5, 1], "tiles": {"height": 64, "width": 32}}
    )
    assert tta_of(section) == TTA(("hflip",), (0.5, 1.0), Tiles(64, 32, 0.25))
    assert tta_of(Predict.model_validate({})) == TTA()
    assert tta_of(Predict.model_validate({"tta": "d4"})) == TTA(D4)
