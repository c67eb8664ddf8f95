"""Deep supervision: while a network for masks learns, its coarser levels predict masks as well.

In training mode such a network returns a tuple: the logits at full size, then at a half, a
quarter ... of it. `darkroom.tasks.losses.masks.deep_supervision` makes a loss of them. In eval
mode it returns the first alone, as without supervision.

The coarsest level is left out, as in nnU-Net (Isensee et al. 2021); before it Lee et al. 2015,
Deeply-Supervised Nets (arXiv 1409.5185).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

SIDE_HEADS = "supervision"
"""The attribute of a network that holds the heads of its coarser levels."""
Maps = Callable[[nn.Module, list[Tensor]], list[Tensor]]
"""(decoder, the encoder's maps) -> the map of each of the decoder's levels, the coarsest first."""


def side_heads(channels: Sequence[int], outputs: int) -> nn.ModuleList:
    """Return the heads of the levels between the coarsest and the finest, the finest first.

    Args:
        channels: Of the decoder's levels, the coarsest first.
        outputs: Channels of the logits.
    """
    between = channels[-2:0:-1]
    return nn.ModuleList(nn.Conv2d(width, outputs, kernel_size=1) for width in between)


def all_logits(heads: nn.ModuleList, maps: Sequence[Tensor], finest: Tensor) -> tuple[Tensor, ...]:
    """Return the logits (N, outputs, h, w) of each supervised level, the finest first.

    Args:
        heads: From `side_heads`.
        maps: Of all levels of the decoder, the coarsest first.
        finest: The logits of the last of them.
    """
    pairs = zip(heads, maps[-2:0:-1], strict=True)
    return (finest, *(head(level) for head, level in pairs))


class Supervised(nn.Module):
    """A network of segmentation_models_pytorch with heads on the levels of its decoder.

    Its layers keep their names, so that weights are exchanged with the network either way.

    Args:
        net: One of the package's.
        maps: `unet_maps` or `unetplusplus_maps`.
        heads: From `side_heads`.
    """

    def __init__(self, net: nn.Module, maps: Maps, heads: nn.ModuleList) -> None:
        super().__init__()
        self.encoder, self.decoder = net.get_submodule("encoder"), net.get_submodule("decoder")
        self.segmentation_head = net.get_submodule("segmentation_head")
        self.add_module(SIDE_HEADS, heads)
        self.maps = maps

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return logits (N, outputs, H, W); in training mode those of all levels, see above."""
        maps = self.maps(self.decoder, self.encoder(images))
        finest: Tensor = self.segmentation_head(maps[-1])
        if not self.training:
            return finest
        heads = self.get_submodule(SIDE_HEADS)
        assert isinstance(heads, nn.ModuleList)
        return all_logits(heads, maps, finest)


def unet_maps(decoder: nn.Module, features: list[Tensor]) -> list[Tensor]:
    """Return what the blocks of the package's `UnetDecoder` make; its `forward` keeps the last."""
    coarsest_first = features[::-1]
    maps = [decoder.get_submodule("center")(coarsest_first[0])]
    # The picture itself, features[0], is joined to nothing.
    across = [*coarsest_first[1:-1], None]
    for block, larger, skip in zip(
        decoder.get_submodule("blocks").children(), coarsest_first[1:], across, strict=True
    ):
        maps.append(block(maps[-1], *larger.shape[2:], skip_connection=skip))
    return maps[1:]


def unetplusplus_maps(decoder: nn.Module, features: list[Tensor]) -> list[Tensor]:
    """Return the first row of the package's `UnetPlusPlusDecoder`; its `forward` keeps the last.

    Block x_i_j takes x_i_(j-1), or the encoder's map i, and all of level j: the blocks below it
    and the encoder's own map.
    """
    skips = features[:0:-1]  # without the picture, the coarsest first
    levels = len(skips) - 1
    rows: dict[tuple[int, int], Tensor] = {}
    for level in range(levels):
        for row in range(level, -1, -1):
            block = decoder.get_submodule(f"blocks.x_{row}_{level}")
            below = skips[row] if row == level else rows[row, level - 1]
            beside = [rows[other, level] for other in range(row + 1, level + 1)]
            rows[row, level] = block(below, torch.cat([*beside, skips[level + 1]], dim=1))
    last = decoder.get_submodule(f"blocks.x_0_{levels}")(rows[0, levels - 1])
    return [*(rows[0, level] for level in range(levels)), last]
