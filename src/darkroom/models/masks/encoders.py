"""Networks for masks: a decoder over any ready-made encoder (segmentation_models_pytorch).

encoder_unet      Ronneberger, Fischer and Brox 2015 (arXiv 1505.04597)
unetplusplus      Zhou et al. 2018 (arXiv 1807.10165)
fpn               Lin et al. 2017 (arXiv 1612.03144), Kirillov et al. 2019 (arXiv 1901.02446)
deeplabv3plus     Chen et al. 2018 (arXiv 1802.02611)
segformer         Xie et al. 2021 (arXiv 2105.15203): its decoder; its encoders are mit_b0..5
"""

import difflib
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
from huggingface_hub.constants import HF_HUB_CACHE
from segmentation_models_pytorch.encoders import encoders as known_encoders
from torch import nn

from darkroom.errors import ParamsError, ResourceError
from darkroom.images.geometry import RGB
from darkroom.models.build import MEAN, STD, Normalisation
from darkroom.models.sizes import Sizes
from darkroom.params.networks import DECODERS

TIMM = "tu-"
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


def decoder(
    name: str,
    *,
    outputs: int,
    in_channels: int = RGB,
    encoder: str = "resnet18",
    imagenet: bool = False,
) -> nn.Module:
    """Return a network for images (N, C, H, W), float32, and logits (N, outputs, H, W).

    Args:
        name: One of `darkroom.params.networks.DECODERS`.
        outputs: Channels of the logits.
        in_channels: Of the images, C; the package adapts published weights as
            `darkroom.models.weights.first_layer` does.
        encoder: An encoder by its name there; `tu-` before a name takes timm's.
        imagenet: With the weights that those packages publish.

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
        )
    except OSError as error:
        raise _no_weights(encoder, error) from error
    except UNSUPPORTED as error:
        raise ParamsError(
            f"{name} does not work with this encoder",
            found=f"{encoder}: {str(error) or type(error).__name__}",
            fix="another encoder, or another network",
        ) from error
    stride = int(net.get_submodule("encoder").output_stride)  # type: ignore[arg-type]
    Sizes(name, least=32, multiple=stride, only=_only(encoder)).guard(net)
    return net


def encoder_normalisation(encoder: str) -> Normalisation:
    """Return the mean and the std that the published weights of an encoder were trained with."""
    if encoder.startswith(TIMM):
        card = timm.get_pretrained_cfg(encoder.removeprefix(TIMM))
        return (tuple(card.mean), tuple(card.std)) if card else (MEAN, STD)
    own = (both for beginning, both in NORMALISED.items() if encoder.startswith(beginning))
    return next(own, (MEAN, STD))


def _only(encoder: str) -> int | None:
    """Return the one size, px, that an encoder of timm can take, if there is only one."""
    card = timm.get_pretrained_cfg(encoder.removeprefix(TIMM)) if encoder.startswith(TIMM) else None
    return int(card.input_size[1]) if card and card.fixed_input_size else None


def _check_encoder(encoder: str, imagenet: bool) -> None:
    """Refuse an encoder that is not known, or has no ImageNet weights."""
    timms = encoder.startswith(TIMM)
    known = [f"{TIMM}{name}" for name in timm.list_models()] if timms else list(known_encoders)
    if encoder.partition(".")[0] not in known:
        near = difflib.get_close_matches(encoder, known, n=3)
        raise ParamsError(
            "there is no encoder of this name",
            found=encoder,
            expected=f"{TIMM} and a name of timm's" if timms else ", ".join(known),
            fix=f"did you mean {' or '.join(near)}?" if near else None,
        )
    if imagenet and not timms and "imagenet" not in known_encoders[encoder]["pretrained_settings"]:
        raise ParamsError(
            f"{encoder} has no ImageNet weights",
            found="weights: imagenet",
            expected="null, a file, another run, or another encoder",
        )


def _no_weights(encoder: str, error: OSError) -> ResourceError:
    """Return the error that names the missing files and their folders."""
    if encoder.startswith(TIMM):
        card = timm.get_pretrained_cfg(encoder.removeprefix(TIMM))
        repository = str(card.hf_hub_id if card else None)
        revision, wanted = "main", "model.safetensors"
    else:
        settings = known_encoders[encoder]["pretrained_settings"]["imagenet"]
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
