"""Copy-paste: objects of another training image, put where they stood there.

Simple copy-paste (Ghiasi et al. 2021): both images are augmented on their own, some of the objects
of one are put over the other, without blending, and what they cover is gone from the mask.
"""

import random
from dataclasses import dataclass

import numpy as np

from darkroom.images.codec import Pixels
from darkroom.images.geometry import cv2

_SALT = 0x9E3779B97F4A7C15  # other draws than the augmentation's, of the same seed


@dataclass(frozen=True)
class CopyPaste:
    """Which images get objects of which others: a pure function of each image's seed.

    Attributes:
        p: The share of the images into which objects are pasted.
        rows: Of the store: images that have objects.
        classes: How many planes of a mask are classes, the first ones.
        epochs: The epochs in which objects are pasted, from the first.
    """

    p: float
    rows: tuple[int, ...]
    classes: int
    epochs: int

    def partner(self, seed: int, epoch: int) -> int | None:
        """Return the row whose objects an image gets; None: it gets none.

        Args:
            seed: Of the image, 64 bits.
            epoch: Counted from 0.
        """
        draws = random.Random(seed ^ _SALT)
        is_pasted = epoch < self.epochs and draws.random() < self.p
        return draws.choice(self.rows) if is_pasted else None

    def paste(self, image: Pixels, mask: Pixels, other: tuple[Pixels, Pixels], seed: int) -> None:
        """Put some objects of another image into an image and its mask, in place.

        An object is what hangs together, of whatever class. Each comes along by chance of one
        half, one at least.

        Args:
            image: uint8 (H, W, C).
            mask: uint8 (K, H, W) of 0 and 1.
            other: Image and mask of the same sizes, to copy from.
            seed: Of the image, 64 bits.
        """
        other_image, other_mask = other
        count, objects = cv2.connectedComponents(other_mask[: self.classes].max(axis=0))
        if count < 2:  # 0 is what no object covers; augmentation may have moved all out
            return
        rng = np.random.default_rng([seed, 1])
        chosen = np.asarray(rng.random(count) < 0.5)
        chosen[0] = False
        if not chosen.any():
            chosen[rng.integers(1, count)] = True
        pasted = chosen.astype(np.uint8)[objects]
        # Ten times as fast as an index of booleans. It writes in place where the layout is its own.
        for place, source in ((image, other_image), *zip(mask, other_mask, strict=True)):
            cv2.copyTo(np.ascontiguousarray(source), pasted, place)
