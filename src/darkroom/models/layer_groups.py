"""Head and backbone of a network: freeze the backbone, give each layer group its learning rate.

The head is specific to one data set, the backbone is not. Lower rates for the layers near the
image: Howard and Ruder 2018 (ULMFiT), "discriminative fine-tuning".
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from darkroom.errors import ParamsError
from darkroom.models.masks.supervision import SIDE_HEADS
from darkroom.models.masks.unet import UNet

PARTS = ("backbone", "head")


@dataclass(frozen=True)
class LayerGroup:
    """Parameters that learn at one rate.

    Attributes:
        name: The key of `rates` that names them; "head", "backbone" or "rest" for parameters
            without a key, "all" where there are no rates and no layer decay.
        factor: On the learning rate.
        parameters: In the order of the network.
    """

    name: str
    factor: float
    parameters: list[nn.Parameter]


def last_layers(net: nn.Module) -> tuple[str, ...]:
    """Return the names of the last layers, whose outputs are the targets of one data set.

    timm's networks name them; some have several, whose outputs are averaged.

    Example:
        >>> last_layers(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 2)))
        ('2',)
    """
    layers = [n for n, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    layers = [name for name in layers if not is_under(name, (SIDE_HEADS,))]
    card = getattr(net, "pretrained_cfg", None)  # timm's
    named = card.get("classifier") or () if isinstance(card, Mapping) else ()
    classifiers = (named,) if isinstance(named, str) else tuple(named)
    return tuple(name for name in classifiers if name in layers) or (str(layers[-1]),)


def head_modules(net: nn.Module) -> tuple[str, ...]:
    """Return the names of the modules that make up the head.

    A classifier's head is its last layer, or layers (and `values` after it); a U-Net's is its
    upward path; with an encoder it is the decoder and its last layers.
    """
    names = [name for name, module in net.named_children() if list(module.parameters())]
    if isinstance(net, UNet):
        return tuple(name for name in names if name != "inc" and not name.startswith("down"))
    if "segmentation_head" in names:
        return tuple(name for name in names if name != "encoder")
    return (*last_layers(net), *(["values"] if hasattr(net, "values") else []))


def freeze_backbone(net: nn.Module) -> None:
    """Exclude the backbone from learning; see also `put_frozen_in_eval_mode`."""
    head = head_modules(net)
    for name, parameter in net.named_parameters():
        if not is_under(name, head):
            parameter.requires_grad_(False)


def unfreeze_all(net: nn.Module) -> None:
    """Let every parameter learn, and put every module in the mode of the network."""
    net.requires_grad_(True)
    net.train(net.training)


def put_frozen_in_eval_mode(net: nn.Module) -> None:
    """Put frozen modules in eval mode, before every training batch.

    Frozen batch norm would otherwise still move its running averages towards the new images, so
    that frozen features drift; and dropout would blur features that cannot adapt.
    """
    parameters = list(net.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        net.eval()
        return
    is_before_frozen = False
    for child in reversed(list(net.children())):
        own = list(child.parameters())
        if own:
            is_before_frozen |= not any(parameter.requires_grad for parameter in own)
            put_frozen_in_eval_mode(child)
        elif is_before_frozen:  # dropout between two frozen layers
            child.eval()


def parameter_groups(
    net: nn.Module, rates: Mapping[str, float], layer_decay: float | None = None
) -> list[LayerGroup]:
    """Return all parameters of a network, each once, by the rate that they learn at.

    Args:
        net: Frozen parameters are included, so that one optimizer serves the whole training.
        rates: Names of modules ("layer4", "encoder.layer1"), or "backbone" and "head", to a
            factor on the learning rate. The longest name that fits wins, and a module's name
            wins over these two. Other parameters have the factor 1.
        layer_decay: Each layer's rate, as a share of that of the layer after it (Clark et al.
            2020, ELECTRA; Bao et al. 2021, BEiT); the head's is 1. Layers are timm's, whose
            networks alone have them. None: all learn at one rate.

    Raises:
        ParamsError: A name that no parameter has, an invalid factor, or a network without layers.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 2))
        >>> [(g.name, g.factor) for g in parameter_groups(net, {"backbone": 0.1})]
        [('backbone', 0.1), ('head', 1.0)]
    """
    head, parameters = head_modules(net), dict(net.named_parameters())
    _check_rates(rates, list(parameters))
    depths = {} if layer_decay is None else _depths(net)
    decay = 1.0 if layer_decay is None else layer_decay
    grouped: dict[tuple[str | None, int], list[nn.Parameter]] = {}
    unnamed = set()
    for name, parameter in parameters.items():
        part = "head" if is_under(name, head) else "backbone"
        fits = [key for key in rates if key not in PARTS and is_under(name, (key,))]
        key = max(fits, key=len) if fits else part if part in rates else None
        unnamed |= {part} if key is None else set()
        group = (key or part if depths else key, depths.get(name, 0))
        grouped.setdefault(group, []).append(parameter)
    rest = "all" if not rates else unnamed.pop() if len(unnamed) == 1 else "rest"
    return [
        LayerGroup(key or rest, rates.get(key or rest, 1.0) * decay**depth, members)
        for (key, depth), members in grouped.items()
    ]


def _depths(net: nn.Module) -> dict[str, int]:
    """Return how many layers stand between each parameter and the head, by its name.

    Raises:
        ParamsError: The network is none of timm's.
    """
    matcher: Any = getattr(net, "group_matcher", None)
    if matcher is None:
        raise ParamsError(
            "layer_decay: the layers of this network are not in order",
            found=type(net).__name__,
            expected="a network of timm",
            fix="set rates, by layer: {layer1: 0.1, layer2: 0.3}",
        )
    from timm.models import group_parameters  # noqa: PLC0415  (two seconds)

    layers = group_parameters(net, matcher(coarse=False), reverse=True)
    last = max(layers.values())
    return {name: last - layers.get(name, last) for name, _ in net.named_parameters()}


def _check_rates(rates: Mapping[str, float], parameters: list[str]) -> None:
    """Refuse a name that no parameter has, and a factor below 0 or not finite."""
    modules = {name[:end] for name in parameters for end in _ends(name)}
    for key, factor in rates.items():
        if key not in PARTS and key not in modules:
            near = difflib.get_close_matches(key, sorted(modules), n=1)
            children = dict.fromkeys(name.split(".")[0] for name in parameters)
            raise ParamsError(
                "rates: this network has no module of this name",
                found=key,
                expected=f"backbone, head, or a module: {', '.join(children)}, or one of theirs",
                fix=f"did you mean {near[0]}?" if near else None,
            )
        if not (math.isfinite(factor) and factor >= 0):
            raise ParamsError(
                f"rates: {key}: invalid factor",
                found=factor,
                expected="a factor on the learning rate, 0 or more",
            )


def _ends(name: str) -> list[int]:
    """Return where the names of the modules around a parameter end, and its own."""
    return [place for place, mark in enumerate(name) if mark == "."] + [len(name)]


def is_under(name: str, modules: tuple[str, ...]) -> bool:
    """Return whether a parameter or module belongs to one of the modules."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)
