"""An augmentation that a loader's worker imports quickly."""

import numpy as np

from darkroom.images.codec import Pixels


def noisy(
    image: Pixels,
    mask: Pixels | None,
    seed: int,
    foreground: bool = False,
) -> tuple[Pixels, Pixels | None]:
    """Return the image with noise: a function of the seed."""
    noise = np.random.default_rng(seed).integers(0, 40, image.shape)
    return (image // 2 + noise).astype(np.uint8), mask
