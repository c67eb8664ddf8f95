"""Heads and backbones: what is frozen stays, and every parameter has one rate."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from darkroom.errors import ParamsError
from darkroom.models.build import build_network
from darkroom.models.layer_groups import (
    freeze_backbone,
    head_modules,
    is_under,
    parameter_groups,
    put_frozen_in_eval_mode,
    unfreeze_all,
)

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"width": 2, "depth": 2},
    "small_cnn": {"width": 4, "depth": 2},
    "resnet18": {},
    "mobilenet_v3_small": {},
    "fpn": {},
}


def net_of(name: str, **arguments: Any) -> nn.Module:
    return build_network(name, outputs=2, seed=1, **(SMALL.get(name, {}) | arguments))


def skeleton(name: str, *, outputs: int = 2, **arguments: Any) -> nn.Module:
    """Return a network whose parameters have names and shapes, but no values."""
    with torch.device("meta"):
        return build_network(name, outputs=outputs, seed=1, **(SMALL.get(name, {}) | arguments))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unet", ("up1", "up2", "outc")),
        ("small_cnn", ("head",)),
        ("resnet18", ("fc",)),
        ("mobilenet_v3_small", ("classifier.3",)),
        ("squeezenet1_1", ("classifier.1",)),
        ("fpn", ("decoder", "segmentation_head")),
    ],
)
def test_heads_by_name(name: str, expected: tuple[str, ...]) -> None:
    assert head_modules(skeleton(name)) == expected


def test_the_values_module_belongs_to_the_head() -> None:
    assert head_modules(skeleton("small_cnn", output="prelu")) == ("head", "values")


@pytest.mark.parametrize("name", SMALL)
def test_only_the_head_depends_on_the_number_of_outputs(name: str) -> None:
    """A network with more outputs differs in its head, and nowhere else."""
    two, three = skeleton(name), skeleton(name, outputs=3)
    shapes = {n: p.shape for n, p in three.named_parameters()}
    differ = [n for n, p in two.named_parameters() if p.shape != shapes[n]]
    assert differ
    assert all(is_under(n, head_modules(two)) for n in differ)


def step(net: nn.Module, side: int = 32) -> dict[str, Tensor]:
    """Train for a step and return the state before it."""
    before = {n: t.clone() for n, t in net.state_dict().items()}
    learning = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learning, 0.1)
    net.train()
    put_frozen_in_eval_mode(net)
    net(torch.randn(4, 3, side, side)).square().mean().backward()
    optimizer.step()
    return before


def changed(net: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {n for n, t in net.state_dict().items() if not torch.equal(t, before[n])}


@pytest.mark.parametrize("name", SMALL)
def test_what_is_frozen_stays_to_the_bit(name: str) -> None:
    torch.manual_seed(3)
    net = net_of(name)
    freeze_backbone(net)
    moved = changed(net, step(net, 64 if name == "fpn" else 32))
    assert moved
    assert all(is_under(n, head_modules(net)) for n in moved), "statistics do not move either"
    learning = {n for n, p in net.named_parameters() if p.requires_grad}
    assert learning == {n for n, _ in net.named_parameters() if is_under(n, head_modules(net))}
    assert net.training


def test_what_is_not_frozen_moves_with_its_statistics() -> None:
    net = net_of("resnet18")
    moved = changed(net, step(net))
    assert moved == set(net.state_dict())


def test_dropout_of_what_is_frozen_rests_and_that_of_the_head_goes_on() -> None:
    net = net_of("mobilenet_v3_small")
    freeze_backbone(net)
    put_frozen_in_eval_mode(net.train())
    assert not net.get_submodule("features").training
    assert net.get_submodule("classifier.2").training, "dropout before the last layer"
    assert not net.get_submodule("classifier.0").training


def test_dropout_between_frozen_layers_rests() -> None:
    """VGG and AlexNet end in three linear layers with dropout between them."""
    layers = [nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 2)]
    net = nn.Sequential(*layers)
    freeze_backbone(net)
    put_frozen_in_eval_mode(net.train())
    assert [module.training for module in net] == [False, False, False, True, True]
    unfreeze_all(net)
    assert all(module.training for module in net)


def test_unfreezing_brings_all_back() -> None:
    net = net_of("resnet18")
    freeze_backbone(net)
    put_frozen_in_eval_mode(net.train())
    unfreeze_all(net)
    assert all(p.requires_grad for p in net.parameters())
    assert all(m.training for m in net.modules())
    assert changed(net, step(net)) == set(net.state_dict())
    unfreeze_all(net.eval())
    assert not any(m.training for m in net.modules())


RATES: list[tuple[dict[str, float], dict[str, float]]] = [
    ({}, {"all": 1}),
    ({"backbone": 0.1}, {"backbone": 0.1, "head": 1}),
    ({"head": 3}, {"backbone": 1, "head": 3}),
    ({"backbone": 0.1, "head": 2}, {"backbone": 0.1, "head": 2}),
    ({"backbone": 0.1, "layer4": 0.5}, {"backbone": 0.1, "layer4": 0.5, "head": 1}),
    ({"layer4": 0.5, "layer4.1": 0.7}, {"rest": 1, "layer4": 0.5, "layer4.1": 0.7}),
    ({"backbone": 0.1, "fc.bias": 0}, {"backbone": 0.1, "head": 1, "fc.bias": 0}),
    ({"fc": 0.5}, {"backbone": 1, "fc": 0.5}),
]


@pytest.mark.parametrize(("rates", "expected"), RATES)
def test_every_parameter_has_one_rate(rates: dict[str, float], expected: dict[str, float]) -> None:
    net = skeleton("resnet18")
    freeze_backbone(net)
    found = parameter_groups(net, rates)
    assert {group.name: group.factor for group in found} == expected
    assert len(found) == len(expected)
    each = [id(p) for group in found for p in group.parameters]
    assert sorted(each) == sorted(id(p) for p in net.parameters()), "none lost, none twice"


def test_the_longest_name_wins_in_any_order() -> None:
    net = skeleton("resnet18")
    longest = net.get_parameter("layer4.1.conv1.weight")
    for rates in ({"layer4": 0.5, "layer4.1": 0.7}, {"layer4.1": 0.7, "layer4": 0.5}):
        (group,) = [g for g in parameter_groups(net, rates) if g.name == "layer4.1"]
        assert any(p is longest for p in group.parameters)
    assert not any(
        p is longest for p in parameter_groups(net, {"layer4.1.conv2": 0.5})[1].parameters
    )


def test_a_module_is_no_beginning_of_a_name() -> None:
    net = skeleton("small_cnn", depth=2)
    with pytest.raises(ParamsError, match=r"did you mean features\.block2"):
        parameter_groups(net, {"features.block": 0.1})


@pytest.mark.parametrize("factor", [-0.1, float("nan"), float("inf")])
def test_an_invalid_factor_is_refused(factor: float) -> None:
    with pytest.raises(ParamsError, match=r"backbone: invalid factor[\s\S]*0 or more"):
        parameter_groups(skeleton("small_cnn"), {"backbone": factor})


def test_an_unknown_part_tells_the_known() -> None:
    with pytest.raises(ParamsError, match=r"found: layer5[\s\S]*did you mean layer") as caught:
        parameter_groups(skeleton("resnet18"), {"layer5": 0.1})
    assert "backbone, head, or a module: conv1, bn1, layer1" in str(caught.value)
