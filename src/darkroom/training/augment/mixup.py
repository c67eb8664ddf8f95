"""Mixup and CutMix: mix each image of a batch, and its target, with another one.

Mixup adds up two images (Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization); CutMix
puts a box of one into the other (Yun et al. 2019, CutMix), and the box of its mask, if it has one.
Either way the share of the first is drawn from Beta(alpha, alpha), an image at a time.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from darkroom.errors import ParamsError

# A share of 1. Shares are integers, so that mixed pixels have the same bits on any device.
ONE = 1 << 16

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """How N images are mixed.

    Attributes:
        partners: int64 (N,), the other image of each; of one that is not mixed, itself.
        shares: int64 (N,), 0..ONE: the share of the image itself, outside of its box.
        boxes: int64 (N, 4), top, bottom, left, right, bottom and right excluded: all of it is
            the partner's; empty for mixup.
    """

    partners: Ints
    shares: Ints
    boxes: Ints

    def own_shares(self, height: int, width: int) -> NDArray[np.float32]:
        """Return the share (N,) of each mixed image that is its own, by area; float32."""
        top, bottom, left, right = self.boxes.T
        outside = 1 - (bottom - top) * (right - left) / (height * width)
        return np.asarray(outside * self.shares / ONE, np.float32)


@dataclass(frozen=True)
class Mixup:
    """Mixes batches; with both alphas above 0, Mixup and CutMix are equally likely for an image.

    Args:
        mixup: Mixup's alpha; 0: no Mixup.
        cutmix: CutMix's alpha; 0: no CutMix.
        classes: How many classes there are, where targets are class numbers.
        p: The probability that an image is mixed.

    Raises:
        ParamsError: An alpha is negative or not finite.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    classes: int | None = None
    p: float = 1.0

    def __post_init__(self) -> None:
        for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            if not (math.isfinite(alpha) and alpha >= 0):
                raise ParamsError(f"{name} is out of range", found=alpha, expected="0 or more")

    def __bool__(self) -> bool:
        """Return whether anything is mixed."""
        return (self.mixup > 0 or self.cutmix > 0) and self.p > 0

    def __call__(self, images: Tensor, targets: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Return mixed images and soft targets: a pure function of the arguments.

        Args:
            images: uint8 (N, C, H, W); the order of the values in memory is kept.
            targets: int64 (N,), the number of a class; float (N, K), NaN where unknown; or masks
                uint8 (N, K, H, W), which CutMix alone can mix.
            seed: 0 or more.

        Returns:
            uint8 (N, C, H, W) and float32 (N, K), NaN where either image's is; or the masks.
        """
        if targets.ndim == 4:
            return self._mix_masks(images, targets, seed)
        soft = self._soften(targets)
        if not self:
            return images, soft
        count, _, height, width = images.shape
        plan = self.plan(count, height, width, seed)
        partners = _on_device(plan.partners, images.device)
        shares = _on_device(plan.own_shares(height, width), soft.device)[:, None]
        others = soft.index_select(0, partners)
        return _mix_images(images, plan), others + shares * (soft - others)

    def plan(self, count: int, height: int, width: int, seed: int) -> Plan:
        """Return how `count` images of this size are mixed."""
        rng = np.random.default_rng(seed)
        partners = rng.permutation(count)
        cut = rng.random(count) < (0.5 if self.mixup and self.cutmix else float(self.cutmix > 0))
        alphas = np.where(cut, self.cutmix, self.mixup)
        shares = rng.beta(alphas, alphas)
        if self.p < 1:
            mixed = rng.random(count) < self.p
            partners = np.where(mixed, partners, np.arange(count))
            cut &= mixed
            shares = np.where(mixed, shares, 1.0)
        sides = np.sqrt(1 - shares) * cut
        return Plan(
            partners=partners,
            shares=np.where(cut, ONE, np.rint(shares * ONE)).astype(np.int64),
            boxes=np.concatenate(
                [
                    _span(sides, height, rng.integers(height, size=count)),
                    _span(sides, width, rng.integers(width, size=count)),
                ],
                axis=1,
            ),
        )

    def _mix_masks(self, images: Tensor, masks: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Return images and masks with the boxes of their partners."""
        if self.mixup:
            raise ValueError("mixup of masks would leave pixels between two classes")
        if not self:
            return images, masks
        count, _, height, width = images.shape
        plan = self.plan(count, height, width, seed)
        return _mix_images(images, plan), _mix_images(masks, plan)

    def _soften(self, targets: Tensor) -> Tensor:
        if targets.ndim == 2:
            return targets.float()
        if targets.ndim != 1 or self.classes is None:
            raise ValueError(
                f"targets of shape {tuple(targets.shape)} with classes={self.classes}: "
                "give (N, K), or (N,) and the number of classes"
            )
        return F.one_hot(targets, self.classes).float()


def _span(sides: NDArray[np.float64], size: int, centres: Ints) -> Ints:
    """Return starts and ends (N, 2) of spans about their centres, cut off at 0 and `size`."""
    lengths = np.rint(sides * size).astype(np.int64)
    starts = centres - lengths // 2
    return np.stack([starts, starts + lengths], axis=1).clip(0, size)


def _on_device(values: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array as a tensor; a copy to a GPU does not wait for what the GPU still does."""
    tensor = torch.from_numpy(values)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _mix_images(images: Tensor, plan: Plan) -> Tensor:
    count, _, height, width = images.shape
    partners = _on_device(plan.partners, images.device)
    boxes = _on_device(plan.boxes, images.device)
    shares = _on_device(plan.shares.astype(np.int32), images.device)
    top, bottom, left, right = boxes.view(count, 4, 1, 1).unbind(1)
    rows = torch.arange(height, device=images.device).view(1, height, 1)
    columns = torch.arange(width, device=images.device).view(1, 1, width)
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    own = shares.view(count, 1, 1).where(~inside, 0).unsqueeze(1)
    others = images.index_select(0, partners)
    mixed = images.int().mul_(own).add_(others.int().mul_(ONE - own)).add_(ONE // 2)
    return torch.empty_like(images).copy_(mixed.bitwise_right_shift_(16))
