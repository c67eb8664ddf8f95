"""The `model` section: the network, by name, with its arguments."""

from typing import Annotated, Literal

from pydantic import Field

from darkroom.params.networks import ClassifierName, PoolName
from darkroom.params.section import Number, Section

Weights = Annotated[
    Literal["imagenet", "given"] | None,
    Field(
        description="The first weights. null: random; imagenet: downloaded once; given: from the "
        "file or the run that `transfers` names for this competition."
    ),
]
Given = Annotated[
    Literal["given"] | None,
    Field(description="null: random; given: from what `transfers` names for this competition."),
]
Channels = Annotated[int, Field(ge=1, le=4096)]
Dropout = Annotated[
    Number,
    Field(ge=0, lt=1, description="Share of the decoder's channels left out in a training step."),
]
DeepSupervision = Annotated[
    bool,
    Field(
        description="Train on masks predicted at the coarser levels too; each weighs half of the "
        "finer one (nnU-Net)."
    ),
]
Output = Annotated[
    Literal["linear", "relu", "prelu", "softplus", "bent_identity", "soft_exponential"],
    Field(description="What a regression's last layer does to its numbers."),
]


class UNet(Section):
    """The classic U-Net (Ronneberger et al. 2015)."""

    name: Literal["unet"]
    width: int = Field(64, ge=1, le=512, description="Channels of the first level.")
    depth: int = Field(4, ge=1, le=7, description="How often the picture is halved.")
    bilinear: bool = Field(False, description="Upsample bilinearly, not by transposed convolution.")
    dropout: Dropout = 0.0
    deep_supervision: DeepSupervision = False
    weights: Given = None


class Decoder(Section):
    """What every decoder for masks over a ready-made encoder has."""

    encoder: str = Field(
        "resnet18",
        max_length=100,
        description="An encoder of segmentation_models_pytorch, by name; tu- before one of timm.",
    )
    weights: Weights = None


class EncoderUNet(Decoder):
    """A U-Net's decoder (Ronneberger et al. 2015), or that of U-Net++ (Zhou et al. 2018)."""

    name: Literal["encoder_unet", "unetplusplus"]
    decoder_channels: Annotated[list[Channels], Field(min_length=5, max_length=5)] = Field(
        [256, 128, 64, 32, 16], description="Channels of the decoder's levels, the coarsest first."
    )
    attention: Literal["scse"] | None = Field(
        None,
        description="scse: weigh the decoder's channels and places (Roy et al. 2018); each level "
        "then has 16 channels or more.",
    )
    dropout: Dropout = 0.0
    deep_supervision: DeepSupervision = False


class FPN(Decoder):
    """A feature pyramid (Lin et al. 2017, Kirillov et al. 2019)."""

    name: Literal["fpn"]
    pyramid_channels: Channels = Field(256, description="Channels of the pyramid's levels.")
    decoder_channels: Annotated[Channels, Field(multiple_of=32)] = Field(
        128, description="Channels of the blocks that bring the levels to one size."
    )
    dropout: Dropout = 0.2


class DeepLabV3Plus(Decoder):
    """Convolutions with holes, of several rates side by side (Chen et al. 2018)."""

    name: Literal["deeplabv3plus"]
    decoder_channels: Channels = Field(256, description="Channels of the decoder.")
    atrous_rates: Annotated[
        list[Annotated[int, Field(ge=1, le=256)]], Field(min_length=3, max_length=3)
    ] = Field([12, 24, 36], description="How far apart the taps are; smaller for small images.")
    output_stride: Literal[8, 16] = Field(
        16, description="How much smaller the encoder's last map is; 8: finer, and slower."
    )
    dropout: Dropout = 0.5


class Segformer(Decoder):
    """A linear layer a level, then one over all of them (Xie et al. 2021)."""

    name: Literal["segformer"]
    decoder_channels: Channels = Field(256, description="Channels of the decoder.")
    dropout: Dropout = 0.0


class SmallCnn(Section):
    """A small convolutional network for labels: a baseline to beat."""

    name: Literal["small_cnn"]
    width: int = Field(32, ge=1, le=512, description="Channels of the first level.")
    depth: int = Field(4, ge=1, le=7, description="How often the picture is halved.")
    dropout: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of features left out before the head."
    )
    weights: Given = None
    output: Output = "linear"


class Classifier(Section):
    """A classifier of torchvision with a new head."""

    name: ClassifierName
    weights: Weights = None
    output: Output = "linear"


class Timm(Section):
    """A network of timm (PyTorch Image Models) with a new head."""

    name: Literal["timm"]
    backbone: str = Field(
        max_length=100,
        description="timm's name of the network, and behind a dot the tag of published weights: "
        "convnext_tiny.in12k_ft_in1k; no tag: timm's choice. `darkroom networks` lists them.",
    )
    weights: Weights = None
    drop_path: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.0, description="Stochastic depth: the share of images that skip the last block."
    )
    dropout: Annotated[Number, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of features left out before the head."
    )
    pool: PoolName | None = Field(
        None,
        description="How the last feature map becomes one vector; null: as the network was "
        "published.",
    )
    output: Output = "linear"


Model = Annotated[
    UNet | EncoderUNet | FPN | DeepLabV3Plus | Segformer | SmallCnn | Classifier | Timm,
    Field(discriminator="name"),
]
