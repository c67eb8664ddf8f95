"""Networks for masks: a decoder over any ready-made encoder (segmentation_models_pytorch).

encoder_unet      Ronneberger, Fischer and Brox 2015 (arXiv 1505.04597)
unetplusplus      Zhou et al. 2018 (arXiv 1807.10165)
fpn               Lin et al. 2017 (arXiv 1612.03144), Kirillov et al. 2019 (arXiv 1901.02446)
deeplabv3plus     Chen et al. 2018 (arXiv 1802.02611)
segformer         Xie et al. 2021 (arXiv 2105.15203): its decoder; its encoders are mit_b0..5
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
from huggingface_hub.constants import HF_HUB_CACHE
from segmentation_models_pytorch.encoders import encoders as packages_encoders
from torch import nn

from darkroom.errors import ParamsError, ResourceError
from darkroom.images.geometry import RGB
from darkroom.models.build import MEAN, STD, Normalisation
from darkroom.models.masks.supervision import (
    Supervised,
    side_heads,
    unet_maps,
    unetplusplus_maps,
)
from darkroom.models.sizes import Sizes
from darkroom.params.networks import DECODERS, ENCODERS, TIMM, encoder_fault

# What the packages and their layers raise for an encoder that does not fit.
UNSUPPORTED = (RuntimeError, ValueError, TypeError, AssertionError, NotImplementedError)
# By the beginning of a name: the mean and std of the published weights, where they are not
# ImageNet's. The package has them in a file that is downloaded with the weights.
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
NORMALISED = {
    "dpn": ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3),
    "inception": HALF,
    "timm-tf_efficientnet_lite": HALF,
    "xception": HALF,
}


def unet(
    name: str,
    *,
    outputs: int,
    in_channels: int = RGB,
    encoder: str = "resnet18",
    imagenet: bool = False,
    decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
    attention: str | None = None,
    dropout: float = 0.0,
    deep_supervision: bool = False,
) -> nn.Module:
    """Return an encoder_unet or a unetplusplus; see `_decoder` for the first arguments.

    Args:
        name: "encoder_unet" or "unetplusplus".
        outputs, in_channels, encoder, imagenet: See `_decoder`.
        decoder_channels: Of the five levels of the decoder, the coarsest first.
        attention: "scse" weighs each level's channels and places (Roy et al. 2018, arXiv
            1808.08127); None: none.
        dropout: The share of the last level's channels that a training step leaves out (Tompson et
            al. 2015, arXiv 1411.4280).
        deep_supervision: See `darkroom.models.masks.supervision`; the other layers have the same
            first weights without it.
    """
    net = _decoder(
        name,
        outputs,
        in_channels,
        encoder,
        imagenet,
        decoder_channels=tuple(decoder_channels),
        decoder_attention_type=attention,
    )
    _put_dropout(net, dropout)
    if deep_supervision:
        maps = unet_maps if name == "encoder_unet" else unetplusplus_maps
        net = Supervised(net, maps, side_heads(decoder_channels, outputs))
    return _guarded(net, name, encoder)


def fpn(
    name: str,
    *,
    outputs: int,
    in_channels: int = RGB,
    encoder: str = "resnet18",
    imagenet: bool = False,
    pyramid_channels: int = 256,
    decoder_channels: int = 128,
    dropout: float = 0.2,
) -> nn.Module:
    """Return a feature pyramid; see `_decoder` and `unet`. `dropout` is of the joined levels."""
    net = _decoder(
        name,
        outputs,
        in_channels,
        encoder,
        imagenet,
        decoder_pyramid_channels=pyramid_channels,
        decoder_segmentation_channels=decoder_channels,
        decoder_dropout=dropout,
    )
    return _guarded(net, name, encoder)


def deeplabv3plus(
    name: str,
    *,
    outputs: int,
    in_channels: int = RGB,
    encoder: str = "resnet18",
    imagenet: bool = False,
    decoder_channels: int = 256,
    atrous_rates: Sequence[int] = (12, 24, 36),
    output_stride: int = 16,
    dropout: float = 0.5,
) -> nn.Module:
    """Return a DeepLabV3+; see `_decoder`. `dropout` is of the joined rates, pixel by pixel."""
    net = _decoder(
        name,
        outputs,
        in_channels,
        encoder,
        imagenet,
        decoder_channels=decoder_channels,
        decoder_atrous_rates=tuple(atrous_rates),
        encoder_output_stride=output_stride,
        decoder_aspp_dropout=dropout,
    )
    return _guarded(net, name, encoder)


def segformer(
    name: str,
    *,
    outputs: int,
    in_channels: int = RGB,
    encoder: str = "resnet18",
    imagenet: bool = False,
    decoder_channels: int = 256,
    dropout: float = 0.0,
) -> nn.Module:
    """Return a network with SegFormer's decoder; see `_decoder` and `unet`."""
    net = _decoder(
        name,
        outputs,
        in_channels,
        encoder,
        imagenet,
        decoder_segmentation_channels=decoder_channels,
    )
    _put_dropout(net, dropout)
    return _guarded(net, name, encoder)


BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "encoder_unet": unet,
    "unetplusplus": unet,
    "fpn": fpn,
    "deeplabv3plus": deeplabv3plus,
    "segformer": segformer,
}
"""The function of each of `darkroom.params.networks.DECODERS`; its first argument is the name."""


def _decoder(
    name: str, outputs: int, in_channels: int, encoder: str, imagenet: bool, **options: Any
) -> nn.Module:
    """Return a network for images (N, C, H, W), float32, and logits (N, outputs, H, W).

    Args:
        name: One of `darkroom.params.networks.DECODERS`.
        outputs: Channels of the logits.
        in_channels: Of the images, C; the package adapts published weights as
            `darkroom.models.weights.first_layer` does.
        encoder: An encoder by its name there; `tu-` before a name takes timm's.
        imagenet: With the weights that those packages publish.
        options: The decoder's own, as the package calls them.

    Raises:
        ParamsError: An unknown encoder, one without published weights, or one that does not fit
            the decoder; and from the network, for images of a size that does not divide.
        ResourceError: The weights cannot be downloaded; names the files and their folder.
    """
    _check_encoder(encoder, imagenet)
    weights = True if encoder.startswith(TIMM) else "imagenet"
    try:
        net: nn.Module = getattr(smp, DECODERS[name])(
            encoder,
            encoder_weights=weights if imagenet else None,
            in_channels=in_channels,
            classes=outputs,
            **options,
        )
    except OSError as error:
        raise _no_weights(encoder, error) from error
    except UNSUPPORTED as error:
        raise ParamsError(
            f"{name} does not work with this encoder",
            found=f"{encoder}: {str(error) or type(error).__name__}",
            fix="another encoder, or another network",
        ) from error
    return net


def _put_dropout(net: nn.Module, share: float) -> None:
    """Put a dropout of whole channels before the last layer, whose names stay as they are."""
    if share:
        layers = [("dropout", nn.Dropout2d(share)), *net.segmentation_head.named_children()]  # type: ignore[union-attr]
        net.segmentation_head = nn.Sequential(OrderedDict(layers))


def _guarded(net: nn.Module, name: str, encoder: str) -> nn.Module:
    """Return the network, which now refuses images of a size that it cannot take."""
    stride = int(net.get_submodule("encoder").output_stride)  # type: ignore[arg-type]
    Sizes(f"the encoder of this {name}", least=32, multiple=stride, only=_only(encoder)).guard(net)
    return net


def encoder_normalisation(encoder: str) -> Normalisation:
    """Return the mean and the std that the published weights of an encoder were trained with."""
    if encoder.startswith(TIMM):
        card = timm.get_pretrained_cfg(encoder.removeprefix(TIMM))
        return (tuple(card.mean), tuple(card.std)) if card else (MEAN, STD)
    own = (both for beginning, both in NORMALISED.items() if encoder.startswith(beginning))
    return next(own, (MEAN, STD))


def _only(encoder: str) -> tuple[int, int] | None:
    """Return the height and width, px, that an encoder of timm takes, if it takes no others."""
    card = timm.get_pretrained_cfg(encoder.removeprefix(TIMM)) if encoder.startswith(TIMM) else None
    return (card.input_size[1], card.input_size[2]) if card and card.fixed_input_size else None


def _check_encoder(encoder: str, imagenet: bool) -> None:
    """Refuse an encoder that does not exist, or has no ImageNet weights."""
    if fault := encoder_fault(encoder):
        raise ParamsError(fault, fix="correct model.encoder")
    if imagenet and encoder in ENCODERS and "imagenet" not in _settings(encoder):
        raise ParamsError(
            f"{encoder} has no ImageNet weights",
            found="weights: imagenet",
            expected="null, a file, another run, or another encoder",
        )


def _settings(encoder: str) -> dict[str, dict[str, str]]:
    """Return the places of an encoder's weights, by the name of the data they learned from."""
    settings: dict[str, dict[str, str]] = packages_encoders[encoder]["pretrained_settings"]
    return settings


def _no_weights(encoder: str, error: OSError) -> ResourceError:
    """Return the error that names the missing files and their folders."""
    if encoder.startswith(TIMM):
        card = timm.get_pretrained_cfg(encoder.removeprefix(TIMM))
        repository = str(card.hf_hub_id if card else None)
        revision, wanted = "main", "model.safetensors"
    else:
        settings = _settings(encoder)["imagenet"]
        repository, revision = str(settings["repo_id"]), settings["revision"]
        wanted = "config.json and model.safetensors"
    folder = Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    place = f"{wanted} in {folder / 'snapshots' / revision}"
    if revision == "main":  # a branch, not a commit: a file maps it to one
        place += f", and a file {folder / 'refs' / revision} that holds the word {revision}"
    return ResourceError(
        f"the ImageNet weights of {encoder} could not be downloaded",
        found=error,
        expected=place,
        fix=f"get them from huggingface.co/{repository} elsewhere and put them there, "
        "or train with no ready-made weights",
    )
