"""Mixup and CutMix: mix each image of a batch, and its target, with another one.

Mixup adds up two images (Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization); CutMix
puts a box of one into the other (Yun et al. 2019, CutMix). Either way the share of the first is
drawn from Beta(alpha, alpha), an image at a time.
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
        partners: int64 (N,), a permutation: the other image of each.
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

    Raises:
        ParamsError: An alpha is negative or not finite.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    classes: int | None = None

    def __post_init__(self) -> None:
        for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            if not (math.isfinite(alpha) and alpha >= 0):
                raise ParamsError(f"{name} is out of range", found=alpha, expected="0 or more")

    def __bool__(self) -> bool:
        """Return whether anything is mixed."""
        return self.mixup > 0 or self.cutmix > 0

    def __call__(self, images: Tensor, targets: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Return mixed images and soft targets: a pure function of the arguments.

        Args:
            images: uint8 (N, C, H, W); the order of the values in memory is kept.
            targets: int64 (N,), the number of a class; or float (N, K).
            seed: 0 or more.

        Returns:
            uint8 (N, C, H, W) and float32 (N, K).
        """
        soft = self._soften(targets)
        if not self:
            return images, soft
        count, _, height, width = images.shape
        plan = self.plan(count, height, width, seed)
        partners = _on_device(plan.partners, images.device)
        shares = _on_device(plan.own_shares(height, width), soft.device)[:, None]
        others = soft.index_select(0, partners)
        return _mix_images(images, partners, plan), others + shares * (soft - others)

    def plan(self, count: int, height: int, width: int, seed: int) -> Plan:
        """Return how `count` images of this size are mixed."""
        rng = np.random.default_rng(seed)
        partners = rng.permutation(count)
        cut = rng.random(count) < (0.5 if self.mixup and self.cutmix else float(self.cutmix > 0))
        alphas = np.where(cut, self.cutmix, self.mixup)
        shares = rng.beta(alphas, alphas)
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


def _mix_images(images: Tensor, partners: Tensor, plan: Plan) -> Tensor:
    count, _, height, width = images.shape
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
