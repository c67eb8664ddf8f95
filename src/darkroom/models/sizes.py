"""Check that a network can take images of a size; name sizes that work.

Without this check most networks fail deep inside, on a kernel larger than its feature map.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from darkroom.errors import ParamsError


@dataclass(frozen=True)
class Sizes:
    """Refuses images (N, C, H, W) that a network cannot take: a hook before its `forward`.

    Args:
        name: The network's, for the error.
        least: The least height and width, px.
        multiple: What height and width must be multiples of.
        only: The one height and width that it can take; None: it can take others.
    """

    name: str
    least: int = 1
    multiple: int = 1
    only: tuple[int, int] | None = None

    def guard(self, net: nn.Module) -> None:
        """Check all images that the network gets from now on."""
        if (self.least, self.multiple, self.only) != (1, 1, None):
            net.register_forward_pre_hook(self)

    def __call__(self, _net: nn.Module, arguments: tuple[Any, ...]) -> None:
        """Check the images.

        Raises:
            ParamsError: Naming the sizes that work.
        """
        images: Tensor = arguments[0]
        # While torch traces a graph, sizes are symbols and not numbers.
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            self.check(int(images.shape[-2]), int(images.shape[-1]))

    def check(self, height: int, width: int) -> None:
        """Refuse a height and a width, px.

        Raises:
            ParamsError: Naming the sizes that work.
        """
        found = f"images {height} px high and {width} px wide"
        if self.only and (height, width) != self.only:
            only = f"{self.only[0]} x {self.only[1]}"
            raise ParamsError(
                f"{self.name} takes images of one size only",
                found=found,
                expected=f"{only} (height x width)",
                fix=f"preprocess to {only}, or choose another network",
            )
        if height % self.multiple or width % self.multiple:
            floor, step = max(self.multiple, self.least), self.multiple
            up = [max(floor, -(-side // step) * step) for side in (height, width)]
            down = [max(floor, side // step * step) for side in (height, width)]
            raise ParamsError(
                f"{self.name} makes the image {self.multiple} times smaller",
                found=found,
                expected=f"both multiples of {self.multiple}",
                fix=f"{up[0]} x {up[1]} or {down[0]} x {down[1]} (height x width)",
            )
        if min(height, width) < self.least:
            raise ParamsError(
                f"{self.name} shrinks an image of this size to nothing",
                found=found,
                expected=f"at least {self.least} px each way",
                fix="preprocess to larger images, or choose another network",
            )

    def try_out(self, channels: int, height: int, width: int) -> None:
        """Refuse a number of channels, a height and a width, px, that only a trial shows.

        Raises:
            ParamsError: Naming the sizes that work.
        """


def check_size(net: nn.Module, channels: int, height: int, width: int) -> None:
    """Refuse images that a network cannot take, before it gets one.

    Args:
        net: With its `Sizes`, if it has any.
        channels: Of the images.
        height: In px.
        width: In px.

    Raises:
        ParamsError: Naming the sizes that work.

    Example:
        >>> net = nn.Conv2d(3, 1, 3)
        >>> Sizes("fpn", multiple=32).guard(net)
        >>> check_size(net, 3, 64, 96)
    """
    for hook in net._forward_pre_hooks.values():
        if isinstance(hook, Sizes):
            hook.check(height, width)
            hook.try_out(channels, height, width)
