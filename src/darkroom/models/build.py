"""The networks, by name, and what they eat.

    unet                       the classic U-Net, ours
    encoder_unet, unetplusplus, fpn, deeplabv3plus, segformer
                               a decoder over a ready-made encoder (segmentation_models_pytorch)
    small_cnn                  a small convolutional network, ours
    resnet18, convnext_tiny .. torchvision's classifiers with a new head

Importing this module costs no more than torch: what a network needs is imported with it.
"""

import difflib
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from darkroom.errors import ParamsError
from darkroom.models.names import CLASSIFIERS, DECODERS, LABEL_NAMES, MASK_NAMES, NAMES
from darkroom.models.weights import fill

__all__ = ["LABEL_NAMES", "MASK_NAMES", "MEAN", "NAMES", "STD", "build", "normalise"]

# What ImageNet's own weights were trained with; as good as any for other weights.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# Arguments of makers that are not the reader's to give.
HIDDEN = ("in_channels", "imagenet")


def build(
    name: str, *, outputs: int, seed: int, weights: str | None = None, **arguments: Any
) -> nn.Module:
    """Return a network whose first weights are a pure function of the arguments.

    It takes images (N, 3, H, W), float32, normalised (`normalise`), and returns logits:
    (N, outputs, H, W) for one of `MASK_NAMES`, (N, outputs) for one of `LABEL_NAMES`; or
    values, if it was told how to make them.

    Args:
        name: One of `NAMES`.
        outputs: How many logits.
        seed: Of the random weights; the generator of the process is left as it was.
        weights: None: random. "imagenet": as their makers publish them. Or a file, or the
            folder of another run; see `darkroom.models.weights.fill`.
        arguments: Those of the network: width, depth, bilinear (unet); encoder (the other ones
            for masks); width, depth, dropout (small_cnn); output, shift, scale (all for
            labels; see `darkroom.models.heads.Values`).

    Raises:
        ParamsError: An unknown name or argument, or a value that cannot be.
        ResourceError: Ready-made weights could not be fetched.
        ArtifactError: A file of weights does not fit.

    Example:
        >>> net = build("unet", outputs=1, seed=7, width=16, depth=3)
    """
    maker = _maker(name)
    allowed = [key for key in inspect.signature(maker).parameters if key not in HIDDEN]
    for key in arguments:
        if key not in allowed:
            raise ParamsError(
                f"{name} has no argument {key!r}",
                found=key,
                expected=", ".join([*allowed, "weights"]),
            )
    if weights == "imagenet":
        if "imagenet" not in inspect.signature(maker).parameters:
            raise ParamsError(
                f"nobody publishes ImageNet weights of {name}",
                found="weights: imagenet",
                expected="null, a file, or another run",
            )
        arguments["imagenet"] = True
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = maker(outputs=outputs, **arguments)
    if weights and weights != "imagenet":
        fill(net, Path(weights))
    return net


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Return (x / 255 - mean) / std, float32, for images (N, 3, H, W), uint8, RGB.

    On the device where the images are: a byte a value travels, not four. The order of the
    values in memory (channels last) is kept.
    """
    shape = (1, len(mean), 1, 1)
    middle = torch.tensor(mean, device=images.device).view(shape) * 255
    scale = torch.tensor(std, device=images.device).view(shape) * 255
    return images.float().sub_(middle).div_(scale)


def _maker(name: str) -> Callable[..., nn.Module]:
    # Imported with the network that needs it: timm alone takes two seconds.
    if name == "unet":
        from darkroom.models.unet import UNet  # noqa: PLC0415

        return UNet
    if name == "small_cnn":
        from darkroom.models.small_cnn import small_cnn  # noqa: PLC0415

        return small_cnn
    if name in DECODERS:
        from darkroom.models.encoders import decoder  # noqa: PLC0415

        return partial(decoder, name)
    if name in CLASSIFIERS:
        from darkroom.models.classifiers import classifier  # noqa: PLC0415

        return partial(classifier, name)
    near = difflib.get_close_matches(name, NAMES, n=1)
    raise ParamsError(
        "there is no network of this name",
        found=name,
        expected=", ".join(NAMES),
        fix=f"did you mean {near[0]}?" if near else None,
    )
