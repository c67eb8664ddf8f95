"""The networks, by name, and what they eat.

    unet                      the classic U-Net, ours
    encoder_unet              a U-Net over a ready-made encoder (segmentation_models_pytorch)
    resnet18 .. resnet152     torchvision's ResNets with a new head

Importing this module costs no more than torch: what a network needs is imported with it.
"""

import difflib
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from darkroom.errors import ParamsError

# What ImageNet's own weights were trained with; as good as any for other weights.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
NAMES = ("unet", "encoder_unet", *RESNETS)


def build(name: str, *, outputs: int, seed: int, **arguments: Any) -> nn.Module:
    """Return a network whose first weights are a pure function of the arguments.

    It takes images (N, 3, H, W), float32, normalised (`normalise`), and returns logits:
    (N, outputs, H, W) for the U-Nets, (N, outputs) for the ResNets.

    Args:
        name: One of `NAMES`.
        outputs: How many logits.
        seed: Of the random weights; the generator of the process is left as it was.
        arguments: Those of the network: width, depth, bilinear (unet); encoder, weights
            (encoder_unet); weights, freeze (resnet..).

    Raises:
        ParamsError: An unknown name or argument, or a value that cannot be.
        ResourceError: Ready-made weights could not be fetched.
        ArtifactError: A file of weights does not fit.

    Example:
        >>> net = build("unet", outputs=1, seed=7, width=16, depth=3)
    """
    maker = _maker(name)
    allowed = [key for key in inspect.signature(maker).parameters if key != "in_channels"]
    for key in arguments:
        if key not in allowed:
            raise ParamsError(
                f"{name} has no argument {key!r}", found=key, expected=", ".join(allowed)
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return maker(outputs=outputs, **arguments)


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
    if name == "encoder_unet":
        from darkroom.models.encoders import encoder_unet  # noqa: PLC0415

        return encoder_unet
    if name in RESNETS:
        from darkroom.models.resnet import resnet  # noqa: PLC0415

        return partial(resnet, name)
    near = difflib.get_close_matches(name, NAMES, n=1)
    raise ParamsError(
        "there is no network of this name",
        found=name,
        expected=", ".join(NAMES),
        fix=f"did you mean {near[0]}?" if near else None,
    )
