"""Build an optimizer by name.

adamw      Adam with decoupled weight decay (Loshchilov and Hutter 2019)
adam       Adam (Kingma and Ba 2015); weight decay is added to the gradient
sgd        gradient descent with momentum (Sutskever et al. 2013); weight decay likewise
rmsprop    steps divided by a running root mean square (Tieleman and Hinton 2012); likewise
lion       the sign of a momentum, decoupled weight decay (Chen et al. 2023): a third to a tenth of
           adamw's rate, and as much more weight decay
nadamw     adamw with Nesterov's momentum (Dozat 2016), as in MLCommons' AlgoPerf
lamb       adamw whose steps are in proportion to each layer's weights (You et al. 2020), for large
           batches
muon       orthogonal steps for matrices and convolutions (Jordan et al. 2024), scaled to adamw's
           size (Liu et al. 2025); adamw for all else, and for the head
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any, get_args

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from darkroom.errors import ParamsError
from darkroom.models.layer_groups import LayerGroup, head_modules, is_under, parameter_groups
from darkroom.params.train import OptimizerName

BETA2 = 0.999
OF_TIMM = {"lion": 0.99, "nadamw": BETA2, "lamb": BETA2, "muon": 0.95}  # second betas
NAMES: tuple[str, ...] = get_args(OptimizerName)


def build_optimizer(
    net: nn.Module,
    name: str,
    *,
    lr: float,
    weight_decay: float,
    momentum: float = 0.9,
    rates: Mapping[str, float] | None = None,
    layer_decay: float | None = None,
    fused: bool = True,
) -> Optimizer:
    """Return an optimizer over every parameter of a network.

    Parameters that are frozen are in it too: without a gradient they are passed over, weight
    decay included, and once unfrozen they learn with the same optimizer. A layer group makes two
    of torch's groups, as biases and the weights of norms do not decay: they have one dimension or
    none, as in timm's `param_groups_weight_decay` (He et al. 2019, Bag of Tricks, section 3.1).
    Neither does what a network of timm exempts, such as position embeddings. A group holds, beside
    torch's own keys, `name` and `factor`, its share of the learning rate.

    Args:
        net: On the device where it will learn.
        name: One of `NAMES`.
        lr: The learning rate of a group whose factor is 1.
        weight_decay: How strongly the weights of layers are drawn to zero.
        momentum: Share of the last step that is kept; of Adam, the first beta.
        rates: Prefixes of module names, or `backbone` or `head_modules`, to factors on `lr`; see
            `darkroom.models.layer_groups.parameter_groups`.
        layer_decay: See there.
        fused: Use torch's fused kernel, where there is one. It unscales fp16 gradients itself, so
            these cannot be clipped: pass False for them.

    Raises:
        ParamsError: There is no optimizer of this name; or as of `parameter_groups`.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 2))
        >>> adamw = build_optimizer(net, "adamw", lr=0.1, weight_decay=0.0, rates={"backbone": 0.5})
        >>> [(group["name"], group["lr"]) for group in adamw.param_groups]
        [('backbone', 0.05), ('head', 0.1)]
    """
    groups = _groups(net, name, lr, weight_decay, parameter_groups(net, rates or {}, layer_decay))
    is_fused = True if fused and _on_one_kind_of_device(net.parameters()) else None
    common: dict[str, Any] = {"lr": lr}
    if name == "adamw":
        return AdamW(groups, betas=(momentum, BETA2), fused=is_fused, **common)
    if name == "adam":
        return Adam(groups, betas=(momentum, BETA2), fused=is_fused, **common)
    if name == "sgd":
        return SGD(groups, momentum=momentum, nesterov=momentum > 0, fused=is_fused, **common)
    if name == "rmsprop":
        return RMSprop(groups, momentum=momentum, **common)
    if name in OF_TIMM:
        from timm.optim import create_optimizer_v2  # noqa: PLC0415  (two seconds)

        more = common | {"momentum": momentum, "betas": (momentum, OF_TIMM[name])}
        optimizer: Optimizer = create_optimizer_v2(groups, name, **more)
        return optimizer
    raise ParamsError("there is no optimizer of this name", found=name, expected=", ".join(NAMES))


def _groups(
    net: nn.Module, name: str, lr: float, weight_decay: float, layer_groups: Iterable[LayerGroup]
) -> list[dict[str, Any]]:
    """Return torch's groups of parameters."""
    exempt = _exempt(net)
    groups: list[dict[str, Any]] = [
        {
            "params": parameters,
            "weight_decay": decay,
            "lr": lr * group.factor,
            "name": group.name,
            "factor": group.factor,
        }
        for group in layer_groups
        for decay, parameters in _by_decay(group.parameters, weight_decay, exempt).items()
    ]
    if name == "muon":
        return [part for group in groups for part in _by_shape(group, net, exempt)]
    return groups


def _by_decay(
    parameters: Sequence[nn.Parameter], weight_decay: float, exempt: Collection[nn.Parameter]
) -> dict[float, list[nn.Parameter]]:
    """Return parameters by their weight decay."""
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        decays = parameter.ndim > 1 and parameter not in exempt
        groups.setdefault(weight_decay if decays else 0.0, []).append(parameter)
    return groups


def _exempt(net: nn.Module) -> set[nn.Parameter]:
    """Return the parameters whose weights should not decay, says a network of timm."""
    names: Iterable[str] = getattr(net, "no_weight_decay", tuple)()
    return {
        parameter
        for name, parameter in net.named_parameters()
        if any(fnmatch(name, pattern) for pattern in names)
    }


def _by_shape(
    group: Mapping[str, Any], net: nn.Module, exempt: set[nn.Parameter]
) -> list[dict[str, Any]]:
    """Return a group in two: what muon makes steps of, and what its adamw does."""
    head = head_modules(net)
    plain = exempt | {p for name, p in net.named_parameters() if is_under(name, head)}
    parts = {False: [p for p in group["params"] if p not in plain and p.ndim > 1]}
    parts[True] = [p for p in group["params"] if p in plain or p.ndim <= 1]
    return [
        {**group, "params": parameters, "use_fallback": is_plain}
        for is_plain, parameters in parts.items()
        if parameters
    ]


def _on_one_kind_of_device(parameters: Iterable[nn.Parameter]) -> bool:
    return all(
        p.device.type in ("cpu", "cuda", "mps") and torch.is_floating_point(p) for p in parameters
    )
