"""Which sizes of picture a network can take, and a plain word where it cannot.

Left to themselves most networks fail deep inside, on a kernel larger than its map.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from darkroom.errors import ParamsError


@dataclass(frozen=True)
class Sizes:
    """Refuses images (N, 3, H, W) that a network cannot take; goes before its `forward`.

    Args:
        name: The network's, for the error.
        least: The least height and width, px.
        multiple: What height and width must be multiples of.
        only: The one height and width that it was laid out for, if there is but one.
    """

    name: str
    least: int = 1
    multiple: int = 1
    only: int | None = None

    def guard(self, net: nn.Module) -> None:
        """Have every picture that the network is shown looked at first."""
        if (self.least, self.multiple, self.only) != (1, 1, None):
            net.register_forward_pre_hook(self)

    def __call__(self, _net: nn.Module, arguments: tuple[Any, ...]) -> None:
        """Look at the images.

        Raises:
            ParamsError: Naming the sizes that work.
        """
        images: Tensor = arguments[0]
        # While a graph is drawn, sizes are part of it and no numbers.
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            self.check(int(images.shape[-2]), int(images.shape[-1]))

    def check(self, height: int, width: int) -> None:
        """Refuse a height and a width, px.

        Raises:
            ParamsError: Naming the sizes that work.
        """
        found = f"images {height} px high and {width} px wide"
        if self.only and (height, width) != (self.only, self.only):
            raise ParamsError(
                f"{self.name} is laid out for pictures of one size",
                found=found,
                expected=f"{self.only} x {self.only} (height x width)",
                fix=f"preprocess to {self.only} x {self.only}, or another network",
            )
        if height % self.multiple or width % self.multiple:
            floor, step = max(self.multiple, self.least), self.multiple
            up = [max(floor, -(-side // step) * step) for side in (height, width)]
            down = [max(floor, side // step * step) for side in (height, width)]
            raise ParamsError(
                f"the encoder of this {self.name} makes the picture {self.multiple} times smaller",
                found=found,
                expected=f"both multiples of {self.multiple}",
                fix=f"{up[0]} x {up[1]} or {down[0]} x {down[1]} (height x width)",
            )
        if min(height, width) < self.least:
            raise ParamsError(
                f"{self.name} makes a picture so small that nothing is left of it",
                found=found,
                expected=f"at least {self.least} px each way",
                fix="larger images, or another network",
            )


def check_size(net: nn.Module, height: int, width: int) -> None:
    """Refuse pictures of a size that a network cannot take, before any is shown to it.

    Raises:
        ParamsError: Naming the sizes that work.
    """
    for hook in net._forward_pre_hooks.values():
        if isinstance(hook, Sizes):
            hook.check(height, width)
