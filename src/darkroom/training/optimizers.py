"""Build an optimizer by name.

adamw      Adam with decoupled weight decay (Loshchilov and Hutter 2019)
adam       Adam (Kingma and Ba 2015); weight decay is added to the gradient
sgd        gradient descent with momentum (Sutskever et al. 2013); weight decay likewise
rmsprop    steps divided by a running root mean square (Tieleman and Hinton 2012); likewise
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from darkroom.errors import ParamsError
from darkroom.models.layer_groups import parameter_groups
from darkroom.params.train import OptimizerName

BETA2 = 0.999
NAMES: tuple[str, ...] = get_args(OptimizerName)


def build_optimizer(
    net: nn.Module,
    name: str,
    *,
    lr: float,
    weight_decay: float,
    momentum: float = 0.9,
    rates: Mapping[str, float] | None = None,
    fused: bool = True,
) -> Optimizer:
    """Return an optimizer over every parameter of a network.

    Parameters that are frozen are in it too: without a gradient they are passed over, weight
    decay included, and once unfrozen they learn with the same optimizer. A layer group makes two
    of torch's groups, as biases and the weights of norms do not decay: they have one dimension or
    none, as in timm's `param_groups_weight_decay` (He et al. 2019, Bag of Tricks, section 3.1). A
    group holds, beside torch's own keys, `name` and `factor`, its share of the learning rate.

    Args:
        net: On the device where it will learn.
        name: One of `NAMES`.
        lr: The learning rate of a group whose factor is 1.
        weight_decay: How strongly the weights of layers are drawn to zero.
        momentum: Share of the last step that is kept; of Adam, the first beta.
        rates: Prefixes of module names, or `backbone` or `head_modules`, to factors on `lr`; see
            `darkroom.models.layer_groups.groups`.
        fused: Use torch's fused kernel, where there is one. It unscales fp16 gradients itself, so
            these cannot be clipped: pass False for them.

    Raises:
        ParamsError: There is no optimizer of this name; or a prefix names no parameter.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8, 2))
        >>> adamw = build_optimizer(net, "adamw", lr=0.1, weight_decay=0.0, rates={"backbone": 0.5})
        >>> [(group["name"], group["lr"]) for group in adamw.param_groups]
        [('backbone', 0.05), ('head', 0.1)]
    """
    groups: list[dict[str, Any]] = [
        {
            "params": parameters,
            "weight_decay": decay,
            "lr": lr * group.factor,
            "name": group.name,
            "factor": group.factor,
        }
        for group in parameter_groups(net, rates or {})
        for decay, parameters in _by_decay(group.parameters, weight_decay).items()
    ]
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
    raise ParamsError("there is no optimizer of this name", found=name, expected=", ".join(NAMES))


def _by_decay(
    parameters: Sequence[nn.Parameter], weight_decay: float
) -> dict[float, list[nn.Parameter]]:
    """Return parameters by their weight decay."""
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in parameters:
        groups.setdefault(weight_decay if parameter.ndim > 1 else 0.0, []).append(parameter)
    return groups


def _on_one_kind_of_device(parameters: Iterable[nn.Parameter]) -> bool:
    return all(
        p.device.type in ("cpu", "cuda", "mps") and torch.is_floating_point(p) for p in parameters
    )
