"""timm's networks by name, with a new head (Wightman, PyTorch Image Models).

A network's card (timm's `PretrainedCfg`) says how its published weights were trained: mean, std,
input size, crop, licence.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlparse

import timm
import torch
from huggingface_hub.constants import HF_HUB_CACHE
from timm.layers import DropPath, PatchEmbed
from timm.models import PretrainedCfg
from torch import hub, nn

from darkroom.errors import ParamsError, ResourceError
from darkroom.images.geometry import RGB
from darkroom.models.build import Normalisation
from darkroom.models.heads import attach_output
from darkroom.models.sizes import Sizes
from darkroom.params.networks import PoolName, backbone_fault

# What timm's networks raise for arguments, images or weights that do not fit.
UNSUPPORTED = (
    *(RuntimeError, ValueError, TypeError, AssertionError),
    *(NotImplementedError, AttributeError, LookupError, ZeroDivisionError),
)
# Sides of sizes to propose are multiples of these: patches, windows, and how often halves are made.
STEPS = (8, 14, 16, 32, 56, 64)
MOST_PROPOSED = 3
# Licences of weights that anybody may use for anything.
FREE = ("apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "mit")
_NO_CLASSIFIER = "no network for labels"


def timm_network(
    *,
    backbone: str,
    outputs: int,
    size: Sequence[int],
    in_channels: int = RGB,
    imagenet: bool = False,
    drop_path: float = 0.0,
    dropout: float = 0.0,
    pool: str | None = None,
    output: str = "linear",
    shift: Sequence[float] | None = None,
    scale: Sequence[float] | None = None,
) -> nn.Module:
    """Return a network for images (N, C, H, W), float32, and logits (N, outputs).

    Args:
        backbone: timm's name, with or without the tag of published weights.
        outputs: Logits.
        size: Height and width of the images, px: what is made for one size is made for this one.
        in_channels: Of the images, C; timm adapts published weights as
            `darkroom.models.weights.first_layer` does.
        imagenet: With the weights that timm publishes under the tag, but for the head.
        drop_path: Stochastic depth (Huang et al. 2016): the share of images that skip the last
            block; less for earlier ones.
        dropout: Share of features that training sets to zero before the head.
        pool: How the last feature map becomes one vector; None: as the network was published.
        output: As of `darkroom.models.heads.Values`; so are shift and scale.
        shift: For regression.
        scale: For regression.

    Raises:
        ParamsError: There is no such network, or no weights of it; or it does not take a size or
            an option.
        ResourceError: The weights cannot be downloaded; names the file and its folder.
    """
    card = card_of(backbone)
    if imagenet and not card.has_weights:
        raise ParamsError(
            f"timm publishes no weights of {backbone}",
            found="weights: imagenet",
            expected="null, a file, or another run",
        )
    options = {"global_pool": pool, "drop_rate": dropout, "drop_path_rate": drop_path}
    create = _Creator(backbone, outputs, in_channels, {k: v for k, v in options.items() if v})
    height, width = int(size[0]), int(size[1])
    net, is_resizable = create.for_size(height, width, pretrained=imagenet)
    if drop_path and not any(isinstance(m, DropPath) and m.drop_prob for m in net.modules()):
        raise _no_option(backbone, "drop_path", drop_path)
    only = (height, width) if is_resizable else _card_size(card)
    TimmSizes(
        backbone,
        multiple=_patch(net),
        only=only if card.fixed_input_size else None,
        net_for=lambda *sides: create.for_size(*sides)[0],
    ).guard(net)
    attach_output(net, outputs, output=output, shift=shift, scale=scale)
    return net


@dataclass(frozen=True)
class TimmSizes(Sizes):
    """Sizes that a network of timm takes: those for which it computes logits of shapes alone.

    Args:
        net_for: Returns the network for a height and a width, px.
    """

    net_for: Callable[[int, int], nn.Module] | None = None

    def guard(self, net: nn.Module) -> None:
        """Check all images that the network gets from now on."""
        net.register_forward_pre_hook(self)

    def try_out(self, channels: int, height: int, width: int) -> None:
        """Compute logits of images of a size, without their numbers.

        Raises:
            ParamsError: It cannot; names sizes that work.
        """
        fault = self._fault(channels, height, width)
        if fault is None:
            return
        if fault.startswith(_NO_CLASSIFIER):
            raise ParamsError(f"{self.name} is {fault}", fix="choose another network")
        working = [
            f"{sides[0]} x {sides[1]}"
            for sides in self._candidates(height, width)
            if self._fault(channels, *sides) is None
        ]
        raise ParamsError(
            f"{self.name} does not take images of this size",
            found=f"images {height} px high and {width} px wide ({fault})",
            expected=" or ".join(working[:MOST_PROPOSED]) + " (height x width), for example"
            if working
            else None,
            fix="preprocess to another size, or choose another network",
        )

    def _fault(self, channels: int, height: int, width: int) -> str | None:
        assert self.net_for is not None
        try:
            with torch.device("meta"), torch.no_grad():
                net = self.net_for(height, width).eval()
                shape = tuple(net(torch.empty(2, channels, height, width)).shape)
        except (ParamsError, *UNSUPPORTED) as error:
            return " ".join(str(error).split())[:200] or type(error).__name__
        return None if len(shape) == 2 else f"{_NO_CLASSIFIER}: its outputs are {shape}"

    def _candidates(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return sizes near one, the nearest first, and that of the card."""
        sizes = {
            (max(1, rounded(height / step)) * step, max(1, rounded(width / step)) * step)
            for step in STEPS
            for rounded in (int, round, lambda x: -int(-x // 1))
        }
        near = sorted(sizes, key=lambda s: (abs(s[0] - height) + abs(s[1] - width), s))
        return [*(each for each in near if each != (height, width)), _card_size(card_of(self.name))]


@dataclass(frozen=True)
class _Creator:
    """Creates a network for one size or another."""

    backbone: str
    outputs: int
    channels: int
    options: dict[str, Any]

    def for_size(
        self, height: int, width: int, *, pretrained: bool = False
    ) -> tuple[nn.Module, bool]:
        """Return the network, and whether it was made for this size.

        Raises:
            ParamsError, ResourceError: As of `timm_network`.
        """
        if not card_of(self.backbone).fixed_input_size:
            return self._create(pretrained), False
        try:
            return self._create(pretrained, img_size=(height, width)), True
        except TypeError as error:
            if "img_size" not in str(error):
                raise
        return self._create(pretrained), False  # its card's size is the one that it can take

    def _create(self, pretrained: bool, **sizes: Any) -> nn.Module:
        try:
            net: nn.Module = timm.create_model(
                self.backbone,
                pretrained=pretrained,
                num_classes=self.outputs,
                in_chans=self.channels,
                **self.options,
                **sizes,
            )
        except UNSUPPORTED as error:
            if pretrained and isinstance(error, OSError):  # before huggingface-hub 1 both kinds
                raise _no_weights(self.backbone, error) from error
            words = str(error)
            if "img_size" in words and isinstance(error, TypeError):
                raise
            for key, option in (("drop_path", "drop_path_rate"), ("dropout", "drop_rate")):
                if f"'{option}'" in words:
                    raise _no_option(self.backbone, key, self.options[option]) from error
            if "global_pool" in self.options:
                raise self._no_pool(words) from error
            raise ParamsError(
                f"timm cannot make this network: {self.backbone}",
                found=f"{' '.join(words.split())[:300] or type(error).__name__}",
                fix="another size or number of channels, or another network",
            ) from error
        except Exception as error:  # of a server, a proxy, a disk: each library has its own
            if not pretrained:
                raise
            raise _no_weights(self.backbone, error) from error
        return net

    def _no_pool(self, reason: str) -> ParamsError:
        """Return the error that lists the pools of this network, each tried without numbers."""
        pools = []
        for pool in get_args(PoolName):
            with suppress(*UNSUPPORTED), torch.device("meta"):
                timm.create_model(self.backbone, **self.options | {"global_pool": pool})
                pools.append(pool)
        return _no_option(self.backbone, "pool", self.options["global_pool"], reason, others=pools)


def card_of(backbone: str) -> PretrainedCfg:
    """Return the card of a network's published weights; of its default ones without a tag.

    Raises:
        ParamsError: timm has no such network, or no such weights.
    """
    fault = backbone_fault(backbone)
    try:
        card = None if fault else timm.get_pretrained_cfg(backbone)
    except RuntimeError as error:
        fault = str(error)
    if fault:
        raise ParamsError(
            fault, found=backbone, fix="`darkroom networks PATTERN` lists those of a pattern"
        )
    return card or PretrainedCfg(architecture=backbone)


def timm_notes(backbone: str, weights: str | None, size: Sequence[int]) -> list[str]:
    """Return what should be known of first weights: their licence, and their pictures' size.

    Args:
        backbone: timm's name.
        weights: As of `darkroom.models.build.build_network`.
        size: Height and width of the images, px.
    """
    card = card_of(backbone)
    name = f"{card.architecture}.{card.tag}" if card.tag else backbone
    notes = []
    if weights == "imagenet" and card.license not in FREE:
        notes.append(
            f"the weights of {name} are not free for all use: their licence is "
            f"{card.license or 'not stated'}"
        )
    if weights and tuple(size) != _card_size(card):
        height, width = _card_size(card)
        notes.append(
            f"{name} learned from images of {height} x {width} (a crop of {card.crop_pct:g} of "
            f"them), and these are {size[0]} x {size[1]} (height x width)"
        )
    return notes


def timm_normalisation(backbone: str) -> Normalisation:
    """Return the mean and the std of red, green and blue that a network's card has."""
    card = card_of(backbone)
    return tuple(card.mean), tuple(card.std)


def _card_size(card: PretrainedCfg) -> tuple[int, int]:
    return card.input_size[1], card.input_size[2]


def _patch(net: nn.Module) -> int:
    """Return what height and width must be multiples of, lest a network ignore their edges."""
    embed = getattr(net, "patch_embed", None)
    is_plain = isinstance(embed, PatchEmbed) and not embed.dynamic_img_pad
    return max(embed.patch_size) if is_plain and embed is not None else 1


def _no_option(
    backbone: str, key: str, value: object, reason: str = "", others: Sequence[str] = ()
) -> ParamsError:
    return ParamsError(
        f"{backbone} has no {key} {value}"
        if others
        else f"{backbone} has no {key} that could be set",
        found=f"model.{key}: {value}{f' ({reason})' if reason else ''}",
        expected=f"null, {' or '.join(others)}" if others else None,
        fix=f"remove model.{key}, or choose another network",
    )


def _no_weights(backbone: str, error: Exception) -> ResourceError:
    """Return the error that names the missing file and its folder."""
    card = card_of(backbone)
    if card.hf_hub_id:
        folder = Path(HF_HUB_CACHE) / f"models--{card.hf_hub_id.replace('/', '--')}"
        place = (
            f"model.safetensors in {folder / 'snapshots' / 'main'}, and a file "
            f"{folder / 'refs' / 'main'} that holds the word main"
        )
        source = f"huggingface.co/{card.hf_hub_id}"
    else:
        source = str(card.url)
        place = f"{Path(urlparse(source).path).name} in {Path(hub.get_dir()) / 'checkpoints'}"
    return ResourceError(
        f"the published weights of {backbone} could not be downloaded",
        found=" ".join(str(error).split())[:500] or type(error).__name__,
        expected=place,
        fix=f"get them from {source} elsewhere and put them there, "
        "or train with no ready-made weights",
    )
