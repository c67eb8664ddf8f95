"""The classic U-Net of Ronneberger, Fischer and Brox 2015 (arXiv 1505.04597).

As in the most used open PyTorch version, and unlike the paper: convolutions are padded, so
that the logits have the size of the picture, and each is followed by batch norm (Ioffe and
Szegedy 2015), which is why the convolutions carry no bias. Layers bear the names and shapes
of that version (milesial/Pytorch-UNet, at width 64 and depth 4), so weights can be
exchanged with it either way.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darkroom.errors import ParamsError
from darkroom.models.masks.supervision import SIDE_HEADS, all_logits, side_heads


class DoubleConv(nn.Module):
    """Twice: 3x3 convolution, batch norm, ReLU. Keeps height and width."""

    def __init__(self, inputs: int, outputs: int, middle: int | None = None) -> None:
        super().__init__()
        middle = middle or outputs
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, middle, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, outputs, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for (N, inputs, H, W)."""
        return self.double_conv(x)  # type: ignore[no-any-return]


class Down(nn.Module):
    """Halve height and width (rounding down), then two convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H // 2, W // 2) for (N, inputs, H, W)."""
        return self.maxpool_conv(x)  # type: ignore[no-any-return]


class Up(nn.Module):
    """Double height and width, join what came across, then two convolutions."""

    def __init__(self, inputs: int, outputs: int, *, bilinear: bool) -> None:
        super().__init__()
        self.up: nn.Module
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(inputs, outputs, inputs // 2)
        else:
            self.up = nn.ConvTranspose2d(inputs, inputs // 2, kernel_size=2, stride=2)
            self.conv = DoubleConv(inputs, outputs)

    def forward(self, below: Tensor, across: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for `below` at half the size of `across` (N, C, H, W)."""
        grown = self.up(below)
        # Halving an odd size drops a line; zeros on the far side stand for it.
        missing_y, missing_x = across.shape[2] - grown.shape[2], across.shape[3] - grown.shape[3]
        left, top = missing_x // 2, missing_y // 2
        grown = F.pad(grown, (left, missing_x - left, top, missing_y - top))
        return self.conv(torch.cat([across, grown], dim=1))  # type: ignore[no-any-return]


class OutConv(nn.Module):
    """A 1x1 convolution: features to logits."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for (N, inputs, H, W)."""
        return self.conv(x)  # type: ignore[no-any-return]


class UNet(nn.Module):
    """The classic U-Net.

    Args:
        in_channels: Channels of the picture.
        outputs: Channels of the logits.
        width: Channels of the first level; each level down has twice as many. 64 in the paper.
        depth: How often the picture is halved. 4 in the paper.
        bilinear: Enlarge by interpolation rather than by a learnt transposed convolution.
        dropout: The share of the finest level's channels that a training step leaves out
            (Tompson et al. 2015, arXiv 1411.4280).
        deep_supervision: See `darkroom.models.masks.supervision`; from depth 3 on. The other
            layers have the same first weights without it.
    """

    def __init__(
        self,
        in_channels: int = 3,
        outputs: int = 1,
        *,
        width: int = 64,
        depth: int = 4,
        bilinear: bool = False,
        dropout: float = 0.0,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels, self.depth = in_channels, depth
        # Interpolation keeps the channels that a transposed convolution would halve, so the
        # levels that feed one are made with half as many from the start.
        share = 2 if bilinear else 1
        levels = [width * 2**level for level in range(depth + 1)]
        self.inc = DoubleConv(in_channels, width)
        for i in range(1, depth + 1):
            channels = levels[i] // share if i == depth else levels[i]
            self.add_module(f"down{i}", Down(levels[i - 1], channels))
        upward = [level // share for level in levels[-2:0:-1]] + [width]
        for i, channels in enumerate(upward, 1):
            self.add_module(f"up{i}", Up(levels[depth - i + 1], channels, bilinear=bilinear))
        self.dropout = nn.Dropout2d(dropout) if dropout else nn.Identity()
        self.outc = OutConv(width, outputs)
        if deep_supervision:
            if depth < 3:
                raise ParamsError(
                    "deep supervision needs a level between the coarsest and the finest",
                    found=f"depth {depth}",
                    expected="depth 3 or more",
                )
            self.add_module(SIDE_HEADS, side_heads(upward, outputs))
        self.supervised = deep_supervision

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return logits (N, outputs, H, W) for images (N, in_channels, H, W), float32.

        With deep supervision, in training mode: a tuple of those of all levels.

        Raises:
            ParamsError: A picture too small to be halved `depth` times, or of other channels.
        """
        # While a graph is drawn, sizes are part of it and no numbers.
        if not torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            self._check(images)
        features = [self.inc(images)]
        for i in range(1, self.depth + 1):
            features.append(self.get_submodule(f"down{i}")(features[-1]))
        is_supervised = self.supervised and self.training
        maps = [features.pop()]
        for i in range(1, self.depth + 1):
            finer = self.get_submodule(f"up{i}")(maps[-1], features.pop())
            maps = [*maps, finer] if is_supervised else [finer]  # else the coarser ones are freed
        logits: Tensor = self.outc(self.dropout(maps[-1]))
        if not is_supervised:
            return logits
        heads = self.get_submodule(SIDE_HEADS)
        assert isinstance(heads, nn.ModuleList)
        return all_logits(heads, maps[1:], logits)

    def _check(self, images: Tensor) -> None:
        least = 2**self.depth
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ParamsError(
                "the U-Net was given images of another shape",
                found=tuple(images.shape),
                expected=f"(N, {self.in_channels}, H, W)",
            )
        if min(images.shape[2:]) < least:
            raise ParamsError(
                f"a U-Net of depth {self.depth} halves the picture {self.depth} times",
                found=f"images {images.shape[2]} px high and {images.shape[3]} px wide",
                expected=f"at least {least} px each way",
                fix="larger images, or a smaller depth",
            )
