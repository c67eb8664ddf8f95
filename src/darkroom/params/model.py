"""The `model` section: the network, by name, with its arguments."""

from typing import Annotated, Literal

from pydantic import Field

from darkroom.params.networks import ClassifierName, DecoderName
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
    weights: Given = None


class Decoder(Section):
    """A decoder for masks over a ready-made encoder."""

    name: DecoderName
    encoder: str = Field(
        "resnet18", description="An encoder of segmentation_models_pytorch, by name."
    )
    weights: Weights = None


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


Model = Annotated[UNet | Decoder | SmallCnn | Classifier, Field(discriminator="name")]
