"""A small convolutional network, to train from scratch: the baseline of larger ones."""

from collections.abc import Sequence

from torch import Tensor, nn

from darkroom.models.heads import attach_output
from darkroom.models.sizes import Sizes


class SmallCNN(nn.Module):
    """Convolutions that halve the picture, an average over what is left, one linear layer.

    The plan of VGG (Simonyan and Zisserman 2015) with batch norm (Ioffe and Szegedy 2015),
    and averaging in place of its large layers (Lin, Chen and Yan 2014).

    Args:
        outputs: Logits.
        in_channels: Of the images.
        width: Channels of the first block; each block after it has twice as many.
        depth: Blocks: 3x3 convolution, batch norm, ReLU, halving.
        dropout: Share of the averaged features that training sets to zero.
    """

    def __init__(
        self, outputs: int, *, in_channels: int = 3, width: int, depth: int, dropout: float
    ) -> None:
        super().__init__()
        channels = [in_channels, *(width * 2**block for block in range(depth))]
        self.features = nn.Sequential()
        for block, inputs in enumerate(channels[:-1], 1):
            layers = nn.Sequential(
                nn.Conv2d(inputs, channels[block], kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(channels[block]),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            )
            self.features.add_module(f"block{block}", layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels[-1], outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, outputs) for images (N, C, H, W), float32."""
        pooled = self.features(images).mean((2, 3))
        return self.head(self.dropout(pooled))  # type: ignore[no-any-return]


def small_cnn(
    *,
    outputs: int,
    in_channels: int = 3,
    width: int = 32,
    depth: int = 4,
    dropout: float = 0.2,
    output: str = "linear",
    shift: Sequence[float] | None = None,
    scale: Sequence[float] | None = None,
) -> nn.Module:
    """Return a `SmallCNN`; output, shift and scale as of `darkroom.models.heads.Values`.

    Raises:
        ParamsError: As of `Values`.
    """
    net = SmallCNN(outputs, in_channels=in_channels, width=width, depth=depth, dropout=dropout)
    Sizes(f"a small_cnn of depth {depth}", least=2**depth).guard(net)
    attach_output(net, outputs, output=output, shift=shift, scale=scale)
    return net
