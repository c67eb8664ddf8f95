"""One group and the bits of before by default; groups that learn apart; saved and put back."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from timm.optim import Lamb, Lion, NAdamW
from timm.optim._param_groups import param_groups_layer_decay, param_groups_weight_decay
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import OneCycleLR

from darkroom.errors import ParamsError
from darkroom.models.build import build_network
from darkroom.training import optimizers
from darkroom.training.optimizers import build_optimizer
from darkroom.training.schedules import Schedule, build_schedule


def net() -> nn.Module:
    torch.manual_seed(3)
    layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 1, 3)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def pictures(steps: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(5)
    for _ in range(steps):
        yield torch.rand(2, 3, 12, 12, generator=generator)


def by_hand(held: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Return the groups of `net`: convolutions' weights decay; biases and batch norm do not."""
    layers = [held.get_parameter(name) for name in ("0.weight", "3.weight")]
    norms = [held.get_parameter(name) for name in ("0.bias", "1.weight", "1.bias", "3.bias")]
    return [{"params": layers, "weight_decay": decay}, {"params": norms, "weight_decay": 0.0}]


def learn(held: nn.Module, optimizer: Optimizer, images: Tensor) -> None:
    optimizer.zero_grad()
    held(images).square().mean().backward()
    optimizer.step()


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def test_the_default_has_the_bits_of_fused_adamw_and_torchs_cycle() -> None:
    mine, theirs = net(), net()
    optimizer = build_optimizer(mine, "adamw", lr=0.02, weight_decay=0.01)
    plan = build_schedule(optimizer, "one_cycle", lr=0.02, total_steps=12)
    plain = AdamW(by_hand(theirs, 0.01), 0.02, fused=True)
    cycle = OneCycleLR(plain, 0.02, total_steps=12)
    assert [group["name"] for group in optimizer.param_groups] == ["all", "all"]
    for images in pictures(12):
        learn(mine, optimizer, images)
        plan.step_batch()
        learn(theirs, plain, images)
        cycle.step()
    assert same(mine, theirs)
    assert not same(mine, net())


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("adam", Adam, {"betas": (0.8, 0.999), "fused": True}),
        ("sgd", SGD, {"momentum": 0.8, "nesterov": True, "fused": True}),
        ("rmsprop", RMSprop, {"momentum": 0.8}),
    ],
)
def test_each_is_torchs_own(name: str, kind: Any, options: dict[str, Any]) -> None:
    mine, theirs = net(), net()
    optimizer = build_optimizer(mine, name, lr=0.01, weight_decay=0.1, momentum=0.8)
    plain = kind(by_hand(theirs, 0.1), lr=0.01, **options)
    assert type(optimizer) is kind
    for images in pictures(3):
        learn(mine, optimizer, images)
        learn(theirs, plain, images)
    assert same(mine, theirs)


@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny"])
def test_what_decays_is_what_decays_in_timm(name: str) -> None:
    held = build_network(name, outputs=2, seed=1)
    groups = build_optimizer(
        held, "adamw", lr=0.1, weight_decay=0.05, rates={"backbone": 0.1}
    ).param_groups
    theirs = {
        id(parameter): group["weight_decay"]
        for group in param_groups_weight_decay(held, weight_decay=0.05)
        for parameter in group["params"]
    }
    ours = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert ours == theirs
    rates = [group["lr"] for group in groups]
    assert rates == pytest.approx([0.01, 0.01, 0.1, 0.1])


@pytest.mark.parametrize("backbone", ["test_convnext", "test_vit", "test_nfnet", "resnet18d"])
def test_layers_decay_as_in_timm(backbone: str) -> None:
    """Rates by layer, and no weight decay on norms, biases and what the network exempts."""
    held: Any = build_network("timm", backbone=backbone, size=(32, 32), outputs=2, seed=1)
    exempt = held.no_weight_decay() if hasattr(held, "no_weight_decay") else ()
    theirs = {
        id(parameter): (group["lr_scale"], group["weight_decay"])
        for group in param_groups_layer_decay(
            held, weight_decay=0.05, no_weight_decay_list=exempt, layer_decay=0.7
        )
        for parameter in group["params"]
    }
    groups = build_optimizer(held, "adamw", lr=0.1, weight_decay=0.05, layer_decay=0.7).param_groups
    ours = {id(p): (g["factor"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert ours.keys() == theirs.keys()
    for key, pair in theirs.items():
        assert ours[key] == pytest.approx(pair)
    assert {group["name"] for group in groups} == {"backbone", "head"}
    if backbone == "test_vit":
        assert ours[id(held.get_parameter("pos_embed"))][1] == 0


def test_rates_and_layer_decay_multiply() -> None:
    held = build_network("timm", backbone="test_vit", size=(32, 32), outputs=2, seed=1)
    options: dict[str, Any] = {"lr": 1.0, "weight_decay": 0.0, "layer_decay": 0.5}
    plain = build_optimizer(held, "sgd", **options)
    scaled = build_optimizer(held, "sgd", rates={"backbone": 0.1, "head": 3.0}, **options)
    before = {id(p): group["lr"] for group in plain.param_groups for p in group["params"]}
    for group in scaled.param_groups:
        factor = {"backbone": 0.1, "head": 3.0}[group["name"]]
        for parameter in group["params"]:
            assert group["lr"] == pytest.approx(factor * before[id(parameter)])


def test_layers_of_other_networks_than_timms_are_in_no_order() -> None:
    with pytest.raises(ParamsError, match=r"layer_decay: the layers of this network[\s\S]*rates"):
        build_optimizer(net(), "sgd", lr=1.0, weight_decay=0.0, layer_decay=0.5)


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("lion", Lion, {"betas": (0.8, 0.99)}),
        ("nadamw", NAdamW, {"betas": (0.8, 0.999)}),
        ("lamb", Lamb, {"betas": (0.8, 0.999)}),
    ],
)
def test_others_are_timms_own(name: str, kind: Any, options: dict[str, Any]) -> None:
    mine, theirs = net(), net()
    optimizer = build_optimizer(mine, name, lr=0.01, weight_decay=0.1, momentum=0.8)
    plain = kind(by_hand(theirs, 0.1), lr=0.01, **options)
    assert type(optimizer) is kind
    for images in pictures(3):
        learn(mine, optimizer, images)
        learn(theirs, plain, images)
    assert same(mine, theirs)
    assert not same(mine, net())


def test_muon_leaves_the_head_and_vectors_to_adamw() -> None:
    held = build_network("timm", backbone="test_vit", size=(32, 32), outputs=2, seed=1)
    optimizer = build_optimizer(held, "muon", lr=0.01, weight_decay=0.1)
    plain = {id(p) for g in optimizer.param_groups if g["use_fallback"] for p in g["params"]}
    names = {name for name, p in held.named_parameters() if id(p) not in plain}
    assert "blocks.0.attn.qkv.weight" in names
    assert {"pos_embed", "cls_token", "head.weight", "blocks.0.norm1.weight"} & names == set()
    held(torch.rand(2, 3, 32, 32)).square().mean().backward()
    optimizer.step()
    # Adam's moments of what it turns, one momentum of what muon does.
    states = optimizer.state
    assert len(states[held.get_parameter("blocks.0.attn.qkv.weight")]) < len(
        states[held.get_parameter("head.weight")]
    )


def test_a_norm_without_a_gradient_to_speak_of_stays_where_it_is() -> None:
    """Decayed as it was, a batch norm's weight of 1 fell to 0.97 in three steps of lr 0.1."""
    held = net()
    optimizer = build_optimizer(held, "adamw", lr=0.1, weight_decay=0.1)
    before = {name: p.detach().clone() for name, p in held.named_parameters()}
    for _ in range(3):
        for parameter in held.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    for name, parameter in held.named_parameters():
        factor = 0.99**3 if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_momentum_is_the_first_beta() -> None:
    optimizer = build_optimizer(net(), "adamw", lr=0.01, weight_decay=0.0, momentum=0.7)
    assert optimizer.param_groups[0]["betas"] == (0.7, 0.999)


def test_groups_have_their_names_and_rates_and_every_parameter_once() -> None:
    held = build_network("resnet18", outputs=2, seed=1)
    optimizer = build_optimizer(
        held, "sgd", lr=0.5, weight_decay=0.0, rates={"backbone": 0.1, "layer4": 0.5}
    )
    rates = {group["name"]: (group["factor"], group["lr"]) for group in optimizer.param_groups}
    assert rates == {"backbone": (0.1, 0.05), "layer4": (0.5, 0.25), "head": (1.0, 0.5)}
    held_by = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held_by) == sorted(id(p) for p in held.parameters())


def test_frozen_parameters_stay_and_learn_once_unfrozen() -> None:
    held = net()
    first = next(iter(held.parameters()))
    first.requires_grad_(False)
    before = first.clone()
    optimizer = build_optimizer(held, "adamw", lr=0.01, weight_decay=0.5)
    for images in pictures(2):
        learn(held, optimizer, images)
    assert torch.equal(first, before)  # not even decayed
    first.requires_grad_(True)
    for images in pictures(1):
        learn(held, optimizer, images)
    assert not torch.equal(first, before)


def test_the_fused_kernel_is_optional() -> None:
    for fused in (True, False):
        optimizer = build_optimizer(net(), "adamw", lr=0.01, weight_decay=0.0, fused=fused)
        assert bool(optimizer.param_groups[0]["fused"]) is fused
        assert getattr(optimizer, "_step_supports_amp_scaling", False) is fused


@pytest.mark.parametrize("name", optimizers.NAMES)
def test_a_restored_optimizer_has_the_same_bits(name: str) -> None:
    def made(held: nn.Module) -> tuple[Optimizer, Schedule]:
        optimizer = build_optimizer(held, name, lr=1e-3, weight_decay=0.01)
        return optimizer, build_schedule(optimizer, "one_cycle", lr=1e-3, total_steps=9)

    def run(stop: int | None) -> nn.Module:
        held = net()
        optimizer, plan = made(held)
        for step, images in enumerate(pictures(9)):
            if step == stop:
                file = io.BytesIO()
                torch.save([held.state_dict(), optimizer.state_dict(), plan.state_dict()], file)
                file.seek(0)
                weights, moments, position = torch.load(file)
                held = net()
                optimizer, plan = made(held)
                held.load_state_dict(weights)
                optimizer.load_state_dict(moments)
                plan.load_state_dict(position)
            learn(held, optimizer, images)
            plan.step_batch()
        return held

    undisturbed = run(None)
    assert same(run(4), undisturbed)
    assert not same(net(), undisturbed)


def test_momentum_may_be_0() -> None:
    optimizer = build_optimizer(net(), "sgd", lr=0.1, weight_decay=0.0, momentum=0.0)
    assert optimizer.param_groups[0]["momentum"] == 0


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(ParamsError, match="there is no optimizer of this name") as caught:
        build_optimizer(net(), "adamax", lr=0.1, weight_decay=0.0)
    assert "found: adamax\n  expected: adamw, adam, sgd, rmsprop, lion" in str(caught.value)
