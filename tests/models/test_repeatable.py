"""Which networks use an operation that has no deterministic form on a GPU, or a slow one.

Read from what each one calls, on no device; docs/training.md has the list.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from darkroom.models.build import build_network
from darkroom.params.networks import DECODERS
from tests.models.test_classifiers import FAMILIES


class Calls(TorchFunctionMode):
    """Records the calls whose gradient adds up in any order, and slow upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.adaptive_avg_pool2d:
            size = kwargs.get("output_size", args[1] if len(args) > 1 else None)
            if size not in (1, (1, 1), [1, 1]):  # which is a mean
                self.found.add("pool")
        if func in (F.multi_head_attention_forward, F.scaled_dot_product_attention):
            self.found.add("attention")
        if func is F.interpolate and "bilinear" in (kwargs.get("mode"), *args):
            self.found.add("bilinear")
        return func(*args, **kwargs)


def calls(name: str, side: int, **arguments: Any) -> set[str]:
    # regnet computes its widths by tensors, which must be real ones.
    with nullcontext() if name.startswith("regnet") else torch.device("meta"):
        net = build_network(name, outputs=2, seed=1, **arguments).train().to("meta")
    recorded = Calls()
    with recorded:
        net(torch.empty(2, 3, side, side, device="meta"))
    return recorded.found


@pytest.mark.parametrize("name", FAMILIES)
def test_classifiers(name: str) -> None:
    expected = {"alexnet": {"pool"}, "vgg11_bn": {"pool"}, "vit_b_32": {"attention"}}
    assert calls(name, max(64, FAMILIES[name])) == expected.get(name, set())


@pytest.mark.parametrize("name", DECODERS)
def test_decoders(name: str) -> None:
    slow = ("fpn", "deeplabv3plus", "segformer")
    assert calls(name, 64) == ({"bilinear"} if name in slow else set())


@pytest.mark.parametrize("bilinear", [False, True])
def test_unet(bilinear: bool) -> None:
    found = calls("unet", 32, width=2, depth=2, bilinear=bilinear)
    assert found == ({"bilinear"} if bilinear else set())
