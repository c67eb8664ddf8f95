"""Build a network by name; normalise its input.

    unet                       the classic U-Net
    encoder_unet, unetplusplus, fpn, deeplabv3plus, segformer
                               a decoder over a ready-made encoder (segmentation_models_pytorch)
    small_cnn                  a small convolutional network
    resnet18, convnext_tiny ...  torchvision's classifiers with a new head
    timm                       any network of timm with a new head, named by `backbone`

Importing this module imports torch alone: a network's library is imported when it is built.
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from darkroom.errors import ParamsError
from darkroom.images.geometry import RGB
from darkroom.models.weights.first_layer import by_channel
from darkroom.models.weights.loading import load_pretrained
from darkroom.params.networks import CLASSIFIERS, DECODERS, NAMES
from darkroom.project.packages import extras_needed

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and std, one a channel, in units of 255."""

# Of ImageNet's images, which most published weights were trained with.
MEAN: tuple[float, ...] = (0.485, 0.456, 0.406)
STD: tuple[float, ...] = (0.229, 0.224, 0.225)

# Arguments of the networks' functions that params.yaml cannot set.
_HIDDEN = ("in_channels", "imagenet")


@extras_needed()
def build_network(
    name: str,
    *,
    outputs: int,
    seed: int,
    channels: int = RGB,
    weights: str | None = None,
    **arguments: Any,
) -> nn.Module:
    """Return a network whose first weights are a pure function of the arguments.

    It takes images (N, C, H, W), float32, normalised (`normalise`), and returns logits:
    (N, outputs, H, W) for a name in `params.networks.MASK_NAMES` (with deep_supervision a tuple of
    them in training mode: `darkroom.models.masks.supervision`), (N, outputs) in `LABEL_NAMES`;
    values in the table's units, if `output`, `shift` or `scale` is given.

    Args:
        name: One of `NAMES`.
        outputs: How many logits.
        seed: Of the random weights; the state of torch's generator is restored.
        channels: Of the images, C.
        weights: None: random. "imagenet": the published ones. Or a file, or the folder of
            another run; see `darkroom.models.weights.loading.load_pretrained`.
        arguments: The network's own: width, depth, bilinear, dropout, deep_supervision (unet);
            encoder and the decoder's (the other networks for masks); width, depth, dropout
            (small_cnn); backbone, size, drop_path, dropout, pool (timm); output, shift, scale (all
            for labels; see
            `darkroom.models.heads.Values`).

    Raises:
        ParamsError: An unknown name or argument, or an invalid value.
        ResourceError: Published weights could not be downloaded, or its library is not installed.
        ArtifactError: A file of weights does not fit.

    Example:
        >>> net = build_network("unet", outputs=1, seed=7, width=4, depth=2)
        >>> net(torch.zeros(2, 3, 32, 48)).shape
        torch.Size([2, 1, 32, 48])
    """
    network_class = _import_network(name)
    _check_arguments(name, network_class, arguments, weights)
    if weights == "imagenet":
        arguments["imagenet"] = True
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = network_class(outputs=outputs, in_channels=channels, **arguments)
    if weights and weights != "imagenet":
        load_pretrained(net, Path(weights))
    return net


def _check_arguments(
    name: str, network_class: Callable[..., nn.Module], names: Iterable[str], weights: str | None
) -> None:
    """Refuse arguments that a network's function does not have, and weights that do not exist."""
    parameters = inspect.signature(network_class).parameters
    allowed = [key for key in parameters if key not in _HIDDEN]
    for key in names:
        if key not in allowed:
            raise ParamsError(
                f"{name} has no argument {key!r}",
                found=key,
                expected=", ".join([*allowed, "weights"]),
            )
    if weights == "imagenet" and "imagenet" not in parameters:
        raise ParamsError(
            f"there are no published ImageNet weights of {name}",
            found="weights: imagenet",
            expected="null, a file, or another run",
        )


def normalisation(
    name: str,
    *,
    encoder: str = "resnet18",
    backbone: str = "",
    channels: int = RGB,
    **_arguments: Any,
) -> Normalisation:
    """Return the mean and the std of a network's images, as its published weights expect them.

    With other first weights they are the same: a network and what is transferred to it then see
    the same inputs. Networks without published weights have ImageNet's.

    Args:
        name: One of `NAMES`.
        encoder: Of a decoder for masks.
        backbone: Of a network of timm.
        channels: Of the images; beyond red, green and blue their values are repeated.
        _arguments: Other arguments of `build_network` do not matter.

    Example:
        >>> normalisation("unet")
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    """
    mean, std = MEAN, STD
    if name in DECODERS:
        from darkroom.models.masks.encoders import encoder_normalisation  # noqa: PLC0415

        mean, std = encoder_normalisation(encoder)
    if name in CLASSIFIERS:
        from darkroom.models.classifiers import classifier_normalisation  # noqa: PLC0415

        mean, std = classifier_normalisation(name, channels)
    if name == "timm":
        from darkroom.models.timm_networks import timm_normalisation  # noqa: PLC0415

        mean, std = timm_normalisation(backbone)
    return by_channel(mean, channels), by_channel(std, channels)


def network_notes(
    name: str,
    *,
    weights: str | None = None,
    backbone: str = "",
    size: Sequence[int] = (),
    **_arguments: Any,
) -> list[str]:
    """Return lines on the first weights of a network of labels: a licence, another image size.

    Args:
        name: One of `NAMES`.
        weights: As of `build_network`; so are the others.
        backbone: Of a network of timm.
        size: Of its images.
        _arguments: Other arguments of `build_network` do not matter.
    """
    if name in CLASSIFIERS:
        from darkroom.models.classifiers import classifier_notes  # noqa: PLC0415

        return classifier_notes(name, weights)
    if name == "timm":
        from darkroom.models.timm_networks import timm_notes  # noqa: PLC0415

        return timm_notes(backbone, weights, size)
    return []


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (x / 255 - mean) / std, float32, for images (N, C, H, W), uint8.

    On the images' own device, so that one byte a value is transferred to it, not four. The
    memory format (channels last) is kept.

    Args:
        images: See above.
        mean: One a channel, in units of 255.
        std: Likewise.

    Example:
        >>> white = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
        >>> normalise(white, [0.5, 0.5, 0.0], [0.25, 0.5, 1.0]).flatten()
        tensor([2., 1., 1.])
    """
    offset, scale = (_per_channel(tuple(values), images.device) for values in (mean, std))
    return images.float().sub_(offset).div_(scale)


@cache  # a copy to a GPU waits until the GPU has nothing else to do
def _per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # else training could not use what predicting has cached
        return torch.tensor(values, device=device).view(1, len(values), 1, 1) * 255


def _import_network(name: str) -> Callable[..., nn.Module]:
    # Imported when needed: timm alone takes two seconds.
    if name == "unet":
        from darkroom.models.masks.unet import UNet  # noqa: PLC0415

        return UNet
    if name == "small_cnn":
        from darkroom.models.small_cnn import small_cnn  # noqa: PLC0415

        return small_cnn
    if name in DECODERS:
        from darkroom.models.masks.encoders import BUILDERS  # noqa: PLC0415

        return partial(BUILDERS[name], name)
    if name in CLASSIFIERS:
        from darkroom.models.classifiers import classifier  # noqa: PLC0415

        return partial(classifier, name)
    if name == "timm":
        from darkroom.models.timm_networks import timm_network  # noqa: PLC0415

        return timm_network
    near = difflib.get_close_matches(name, NAMES, n=1)
    raise ParamsError(
        "there is no network of this name",
        found=name,
        expected=", ".join(NAMES),
        fix=f"did you mean {near[0]}?" if near else None,
    )
