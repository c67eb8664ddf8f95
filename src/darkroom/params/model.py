"""The `model` section: the network, by name, with its arguments."""

from typing import Annotated, Literal

from pydantic import Field

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

    name: Literal["encoder_unet", "unetplusplus", "fpn", "deeplabv3plus", "segformer"]
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

    # fmt: off
    name: Literal[
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
        "alexnet",
        "convnext_base", "convnext_large", "convnext_small", "convnext_tiny",
        "densenet121", "densenet161", "densenet169", "densenet201",
        "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
        "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7",
        "efficientnet_v2_l", "efficientnet_v2_m", "efficientnet_v2_s",
        "googlenet", "inception_v3", "maxvit_t",
        "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3",
        "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small",
        "regnet_x_16gf", "regnet_x_1_6gf", "regnet_x_32gf", "regnet_x_3_2gf", "regnet_x_400mf",
        "regnet_x_800mf", "regnet_x_8gf", "regnet_y_128gf", "regnet_y_16gf", "regnet_y_1_6gf",
        "regnet_y_32gf", "regnet_y_3_2gf", "regnet_y_400mf", "regnet_y_800mf", "regnet_y_8gf",
        "resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d",
        "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0",
        "squeezenet1_0", "squeezenet1_1",
        "swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s", "swin_v2_t",
        "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
        "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32",
        "wide_resnet101_2", "wide_resnet50_2",
    ]
    # fmt: on
    weights: Weights = None
    output: Output = "linear"


Model = Annotated[UNet | Decoder | SmallCnn | Classifier, Field(discriminator="name")]
