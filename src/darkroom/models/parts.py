"""The parts of a network: its head and its backbone, what is frozen, what learns how fast.

The head is what answers the question of one data set; the backbone sees. Rates by layer
group, lower ones near the picture: Howard and Ruder 2018 (ULMFiT), "discriminative fine-tuning".
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from darkroom.errors import ParamsError
from darkroom.models.unet import UNet

WORDS = ("backbone", "head")


@dataclass(frozen=True)
class Group:
    """Parameters that learn at one rate.

    Attributes:
        name: The words that named them in `rates`; "head", "backbone" or "rest" for what no
            word named, "all" where there are no rates.
        factor: On the learning rate.
        parameters: In the order of the network.
    """

    name: str
    factor: float
    parameters: list[nn.Parameter]


def last(net: nn.Module) -> str:
    """Return the name of the last layer, whose outputs are the targets of one data set."""
    layers = [n for n, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return str(layers[-1])


def head(net: nn.Module) -> tuple[str, ...]:
    """Return the modules that make up the head, by name.

    Of a classifier its last layer (and what turns that into values); of a U-Net all that goes
    up again; over an encoder the decoder and its last layer.
    """
    names = [name for name, _ in net.named_children()]
    if isinstance(net, UNet):
        return tuple(name for name in names if name != "inc" and not name.startswith("down"))
    if "segmentation_head" in names:
        return ("decoder", "segmentation_head")
    return (last(net), *(["values"] if "values" in names else []))


def freeze(net: nn.Module) -> None:
    """Let the backbone learn no more; see also `keep_frozen`."""
    tops = head(net)
    for name, parameter in net.named_parameters():
        if not _under(name, tops):
            parameter.requires_grad_(False)


def unfreeze(net: nn.Module) -> None:
    """Let every parameter learn, and every module be in the mode of the whole."""
    net.requires_grad_(True)
    net.train(net.training)


def keep_frozen(net: nn.Module) -> None:
    """Put what is frozen in eval mode, as every step of training must begin.

    Batch norm that learns nothing would otherwise go on moving its averages towards the new
    images, so that what was frozen drifts; and dropout would blur features that cannot adapt.
    """
    parameters = list(net.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        net.eval()
        return
    feeds_frozen = False
    for child in reversed(list(net.children())):
        own = list(child.parameters())
        if own:
            feeds_frozen |= not any(parameter.requires_grad for parameter in own)
            keep_frozen(child)
        elif feeds_frozen:  # dropout between two layers that are frozen
            child.eval()


def groups(net: nn.Module, rates: Mapping[str, float]) -> list[Group]:
    """Return all parameters of a network, each once, by the rate that they learn at.

    Args:
        net: Frozen parameters are there too, so that one optimiser serves the whole training.
        rates: Names of modules ("layer4", "encoder.layer1"), or the words "backbone" and
            "head", to a factor on the learning rate. The longest name that fits wins, and any
            name wins over the two words. What is not named learns at factor 1.

    Raises:
        ParamsError: A name that no parameter has, or a factor that cannot be.
    """
    tops, parameters = head(net), dict(net.named_parameters())
    _check(rates, list(parameters))
    found: dict[str | None, list[nn.Parameter]] = {}
    unnamed = set()
    for name, parameter in parameters.items():
        part = "head" if _under(name, tops) else "backbone"
        fits = [key for key in rates if key not in WORDS and _under(name, (key,))]
        key = max(fits, key=len) if fits else part if part in rates else None
        found.setdefault(key, []).append(parameter)
        unnamed |= {part} if key is None else set()
    rest = "all" if not rates else unnamed.pop() if len(unnamed) == 1 else "rest"
    return [Group(key or rest, rates[key] if key else 1.0, found[key]) for key in found]


def _check(rates: Mapping[str, float], parameters: list[str]) -> None:
    """Refuse a name that no parameter has, and a factor that cannot be."""
    modules = {name[:end] for name in parameters for end in _ends(name)}
    for key, factor in rates.items():
        if key not in WORDS and key not in modules:
            near = difflib.get_close_matches(key, sorted(modules), n=1)
            tops = dict.fromkeys(name.split(".")[0] for name in parameters)
            raise ParamsError(
                "rates: no part of this network has this name",
                found=key,
                expected=f"backbone, head, or a module: {', '.join(tops)}, or one within",
                fix=f"did you mean {near[0]}?" if near else None,
            )
        if not (math.isfinite(factor) and factor >= 0):
            raise ParamsError(
                f"rates: {key} cannot learn at this factor",
                found=factor,
                expected="a factor on the learning rate, 0 or more",
            )


def _ends(name: str) -> list[int]:
    """Return where the names of the modules around a parameter end, and its own."""
    return [place for place, mark in enumerate(name) if mark == "."] + [len(name)]


def _under(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
