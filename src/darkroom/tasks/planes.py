"""Mask classes: whether a pixel may be of several, which pixels count, and what the answer is.

Overlapping classes are independent: a sigmoid each. Of exclusive ones a pixel has one at most: a
softmax over the classes and, where pixels may be of none, the background before them (Long et al.
2015, Fully Convolutional Networks). The background has a logit, but neither a target nor a
probability: that is what the others leave of 1.

Targets have a plane a class, and one more, the last, where some pixels are unknown.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

# What scores and writes kept predictions needs the arrays alone: torch takes seconds to import.
if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MaskClasses:
    """How mask classes share the pixels.

    Attributes:
        exclusive: Whether a pixel is of one class at most.
        background: Of exclusive classes: whether a pixel may be of none. Logits then have a channel
            more, the first.
    """

    exclusive: bool = False
    background: bool = False

    def activate(self, logits: "Tensor") -> "Tensor":
        """Return the probabilities of the classes, (N, K, H, W), without the background."""
        if not self.exclusive:
            return logits.sigmoid()
        return logits.softmax(dim=1)[:, int(self.background) :]

    def decode(self, probabilities: NDArray[np.float32], threshold: object) -> NDArray[np.uint8]:
        """Return the answer of probabilities (..., K, H, W), uint8 of 0 and 1.

        Of exclusive classes a pixel has the one of the greatest probability, the first of equals,
        whatever the threshold; or none, where the background's is as great.

        Args:
            probabilities: 0 to 1.
            threshold: Of overlapping classes: a number, or one a class (K,).

        Example:
            >>> scores = np.array([[[0.7, 0.3]], [[0.1, 0.2]]], np.float32)
            >>> MaskClasses(exclusive=True, background=True).decode(scores, 0.5).tolist()
            [[[1, 0]], [[0, 0]]]
        """
        if self.exclusive:
            return self._greatest_of(probabilities).view(np.uint8)
        limits = np.asarray(threshold, np.float32)
        limits = limits[:, None, None] if limits.ndim else limits
        return (probabilities > limits).astype(np.uint8)

    def _greatest_of(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which of exclusive classes (..., K, H, W) each pixel has; see `greatest`."""
        planes = np.moveaxis(probabilities, -3, 0)
        answer = np.zeros(planes.shape, np.bool_)
        total = np.zeros_like(planes[0])
        most = total.copy()  # what is 0 is of no class
        for plane in planes:
            total += plane
            np.maximum(most, plane, out=most)
        free = most > (1 - total if self.background else 0)
        for plane, of_class in zip(planes, answer, strict=True):
            np.logical_and(plane == most, free, out=of_class)
            free &= ~of_class
        return np.moveaxis(answer, 0, -3)

    def greatest(self, probabilities: "Tensor") -> "Tensor":
        """Return which of exclusive classes (..., K, H, W) each pixel has, bool.

        Where all are 0, as beyond a crop, it has none.
        """
        most, first = probabilities.max(dim=-3, keepdim=True)
        numbers = first.new_tensor(range(probabilities.shape[-3]))
        answer = first == numbers[:, None, None]
        rest = 1 - probabilities.sum(dim=-3, keepdim=True) if self.background else 0
        return answer & (most > rest)

    def answers(self, probabilities: "Tensor") -> "Tensor":
        """Return the answer of probabilities (N, K, H, W) at the threshold one half, bool."""
        return self.greatest(probabilities) if self.exclusive else probabilities > 0.5

    def split_unknown(self, targets: "Tensor", count: int) -> tuple["Tensor", "Tensor | None"]:
        """Return the masks (N, K, H, W) of targets, and which pixels count, bool (N, 1, H, W).

        None: all do. Of exclusive classes without a background, a pixel of no class is unknown too:
        what augmentation or padding has added.

        Args:
            targets: (N, K, H, W), or (N, K + 1, H, W) with the unknown pixels as the last plane.
            count: K.
        """
        masks = targets[:, :count]
        valid = None if targets.shape[1] == count else targets[:, count:] == 0
        if self.exclusive and not self.background:
            of_a_class = masks.amax(dim=1, keepdim=True) > 0
            valid = of_a_class if valid is None else valid & of_a_class
        return masks, valid


OVERLAPPING = MaskClasses()
