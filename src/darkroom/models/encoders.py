"""U-Nets over ready-made encoders, through segmentation_models_pytorch."""

import difflib
from pathlib import Path
from typing import Literal

import segmentation_models_pytorch as smp
from huggingface_hub.constants import HF_HUB_CACHE
from segmentation_models_pytorch.encoders import encoders as known_encoders
from torch import Tensor, nn

from darkroom.errors import ParamsError, ResourceError


class EncoderUNet(smp.Unet):  # type: ignore[misc]  # segmentation_models_pytorch has no types
    """Its U-Net, with our word for images of a size that does not divide."""

    def check_input_shape(self, x: Tensor) -> None:
        """Refuse images (N, 3, H, W) whose sides are no multiples of the encoder's stride.

        Raises:
            ParamsError: Names the nearest sizes that work.
        """
        stride, (height, width) = self.encoder.output_stride, x.shape[-2:]
        if height % stride or width % stride:
            up = [-(-side // stride) * stride for side in (height, width)]
            down = [max(stride, side // stride * stride) for side in (height, width)]
            raise ParamsError(
                f"this U-Net's encoder halves the picture until it is {stride} times smaller",
                found=f"images {height} px high and {width} px wide",
                expected=f"both multiples of {stride}",
                fix=f"{up[0]} x {up[1]} or {down[0]} x {down[1]} (height x width)",
            )


def encoder_unet(
    *, outputs: int, encoder: str = "resnet18", weights: Literal["imagenet"] | None = None
) -> nn.Module:
    """Return a U-Net for images (N, 3, H, W) and logits (N, outputs, H, W).

    Args:
        outputs: Channels of the logits.
        encoder: An encoder by its name there; `tu-` before a name takes timm's.
        weights: None, or "imagenet": as that package publishes them.

    Raises:
        ParamsError: An unknown encoder, or one without such weights.
        ResourceError: The weights cannot be had; says which files to put where.
    """
    timm = encoder.startswith("tu-")
    if not timm and encoder not in known_encoders:
        near = difflib.get_close_matches(encoder, known_encoders, n=3)
        raise ParamsError(
            "there is no encoder of this name",
            found=encoder,
            expected=", ".join(known_encoders),
            fix=f"did you mean {' or '.join(near)}?" if near else None,
        )
    if weights and not timm and weights not in known_encoders[encoder]["pretrained_settings"]:
        raise ParamsError(
            f"{encoder} has no weights of this name",
            found=weights,
            expected=f"null, or one of {', '.join(known_encoders[encoder]['pretrained_settings'])}",
        )
    try:
        return EncoderUNet(
            encoder,
            encoder_weights=(True if timm else weights) if weights else None,
            classes=outputs,
        )
    except OSError as error:
        raise _no_weights(encoder, str(weights), error) from error
    except RuntimeError as error:  # timm's word for a name that it does not know
        raise ParamsError("this encoder cannot be made", found=f"{encoder}: {error}") from error


def _no_weights(encoder: str, weights: str, error: OSError) -> ResourceError:
    settings = known_encoders.get(encoder, {}).get("pretrained_settings", {}).get(weights)
    place = fix = None
    if settings:
        owner, name = settings["repo_id"].split("/")
        folder = Path(HF_HUB_CACHE) / f"models--{owner}--{name}" / "snapshots"
        place = f"config.json and model.safetensors in {folder / settings['revision']}"
        fix = (
            f"get them from huggingface.co/{settings['repo_id']} elsewhere and put them there, "
            "or train with no ready-made weights"
        )
    return ResourceError(
        f"the ImageNet weights of {encoder} could not be downloaded",
        found=error,
        expected=place,
        fix=fix,
    )
