"""Let a network take images of any number of channels: its first convolution and normalisation.

As timm does (`adapt_input_conv` of timm/models/_manipulate.py): published weights of a single
channel are the sum over the three; of others, the three in turn, times 3 / channels, so that the
features keep their size.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from darkroom.images.geometry import RGB


def first_convolution(net: nn.Module) -> tuple[str, nn.Conv2d]:
    """Return the name of the convolution that takes the images, and itself.

    Example:
        >>> first_convolution(nn.Sequential(nn.Identity(), nn.Conv2d(3, 8, 1)))[0]
        '1'
    """
    layers = ((name, m) for name, m in net.named_modules() if isinstance(m, nn.Conv2d))
    return next(layers)


def adapt_first_layer(net: nn.Module, channels: int, *, pretrained: bool) -> None:
    """Let a network for images of three channels take another number; with three, change nothing.

    Args:
        net: Its first convolution takes the images as they are.
        channels: 1 or more.
        pretrained: Whether its weights are worth keeping; else new ones are drawn, from a normal
            distribution of the same gain.
    """
    if channels == RGB:
        return
    _, layer = first_convolution(net)
    rgb = layer.weight.detach()
    if pretrained:
        weight = adapted_weight(rgb, channels)
    else:
        shape = (rgb.shape[0], channels, *rgb.shape[2:])
        weight = torch.randn(shape) * rgb.std() * math.sqrt(RGB / channels)
    layer.in_channels, layer.weight = channels, nn.Parameter(weight)


def adapted_weight(rgb: Tensor, channels: int) -> Tensor:
    """Return weights (outputs, channels, h, w) of a convolution for those of three channels.

    Example:
        >>> adapted_weight(torch.tensor([2.0, 4.0, 6.0]).view(1, 3, 1, 1), 4).flatten().tolist()
        [1.5, 3.0, 4.5, 1.5]
    """
    if channels == 1:
        return rgb.sum(dim=1, keepdim=True)
    return rgb[:, [k % RGB for k in range(channels)]] * (RGB / channels)


def by_channel(rgb: Sequence[float], channels: int) -> tuple[float, ...]:
    """Return a value a channel for those of red, green and blue, as the weights are adapted.

    Example:
        >>> by_channel((0.25, 0.5, 0.75), 4), by_channel((0.25, 0.5, 0.75), 1)
        ((0.25, 0.5, 0.75, 0.25), (0.5,))
    """
    if channels == 1:
        return (sum(rgb) / RGB,)
    return tuple(rgb[k % RGB] for k in range(channels))
