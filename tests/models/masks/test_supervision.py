"""Deep supervision: logits of every level while training, the network's own otherwise."""

from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from darkroom.errors import ParamsError
from darkroom.models.build import build_network
from darkroom.models.layer_groups import (
    freeze_backbone,
    head_modules,
    last_layers,
    parameter_groups,
)
from darkroom.models.masks.supervision import SIDE_HEADS
from darkroom.models.masks.unet import UNet
from darkroom.models.saved import load_model, save_model
from darkroom.models.weights.loading import load_pretrained
from darkroom.params.networks import DECODERS

SMALL: dict[str, Any] = {"decoder_channels": [24, 20, 16, 12, 8]}
UNETS = ("unet", "encoder_unet", "unetplusplus")


def network(name: str, outputs: int = 2, **arguments: Any) -> nn.Module:
    own = {"width": 4, "depth": 4} if name == "unet" else SMALL
    return build_network(name, outputs=outputs, seed=7, **(own | arguments))


def images(seed: int = 1) -> Tensor:
    return torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", UNETS)
def test_training_has_the_logits_of_all_levels_but_the_coarsest(name: str) -> None:
    levels = network(name, deep_supervision=True).train()(images())
    sizes = [(64, 32), (32, 16), (16, 8), (8, 4)][: 3 if name == "unet" else 4]
    assert [tuple(each.shape) for each in levels] == [(2, 2, *size) for size in sizes]


@pytest.mark.parametrize("name", UNETS)
def test_prediction_is_that_of_the_network_without_it(name: str) -> None:
    plain, deep = network(name).eval(), network(name, deep_supervision=True).eval()
    assert isinstance(deep(images()), Tensor)
    assert torch.equal(deep(images()), plain(images()))
    own = {k: t for k, t in deep.state_dict().items() if not k.startswith(f"{SIDE_HEADS}.")}
    assert list(own) == list(plain.state_dict())
    assert all(torch.equal(t, plain.state_dict()[key]) for key, t in own.items())


@pytest.mark.parametrize("name", UNETS)
def test_every_level_learns(name: str) -> None:
    net = network(name, deep_supervision=True).train()
    sum(level.mean() for level in net(images())).backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("encoder", ["resnet18", "vgg11", "tu-convnext_femto", "mit_b0"])
@pytest.mark.parametrize("name", ["encoder_unet", "unetplusplus"])
def test_levels_exist_over_encoders_of_every_kind(name: str, encoder: str) -> None:
    if (name, encoder) == ("unetplusplus", "mit_b0"):
        pytest.skip("the package refuses it")
    with torch.device("cpu" if encoder == "mit_b0" else "meta"):  # it counts with numbers
        net = network(name, encoder=encoder, deep_supervision=True).train()
        levels = net(torch.zeros(2, 3, 64, 96))
    assert [level.shape[-1] for level in levels] == [96, 48, 24, 12]


def test_an_odd_size_has_levels_of_rounded_halves() -> None:
    levels = network("unet", deep_supervision=True)(torch.zeros(2, 3, 37, 21))
    assert [tuple(level.shape[2:]) for level in levels] == [(37, 21), (18, 10), (9, 5)]


def test_a_network_without_a_level_between_refuses() -> None:
    with pytest.raises(ParamsError, match=r"found: depth 2\n  expected: depth 3 or more"):
        UNet(depth=2, deep_supervision=True)


@pytest.mark.parametrize("name", UNETS)
def test_the_heads_are_of_the_head_and_the_last_layer_stays(name: str) -> None:
    net = network(name, deep_supervision=True)
    assert last_layers(net) == ("outc.conv" if name == "unet" else "segmentation_head.0",)
    assert SIDE_HEADS in head_modules(net)
    groups = parameter_groups(net, {SIDE_HEADS: 2.0, "backbone": 0.1, "head": 1.0})
    assert {group.name: group.factor for group in groups} == {
        "supervision": 2.0,
        "backbone": 0.1,
        "head": 1.0,
    }
    freeze_backbone(net)
    assert all(p.requires_grad for n, p in net.named_parameters() if n.startswith(SIDE_HEADS))


@pytest.mark.parametrize("name", UNETS)
def test_a_saved_model_comes_back(name: str, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {
        "name": name,
        "outputs": 2,
        "deep_supervision": True,
        "dropout": 0.1,
    }
    arguments |= {"width": 4, "depth": 3} if name == "unet" else SMALL
    net = build_network(seed=7, **arguments)
    save_model(tmp_path / "model", net, {"model": arguments})
    loaded, _ = load_model(tmp_path / "model")
    assert torch.equal(loaded(images()), net.eval()(images()))


@pytest.mark.parametrize("deep", [False, True])
def test_weights_pass_between_networks_with_and_without_it(deep: bool, tmp_path: Path) -> None:
    source = network("encoder_unet", outputs=1, deep_supervision=not deep)
    save_model(tmp_path / "model", source, {"model": {"name": "encoder_unet", "outputs": 1}})
    net = build_network("encoder_unet", outputs=1, seed=9, deep_supervision=deep, **SMALL)
    load_pretrained(net, tmp_path / "model")
    assert torch.equal(net.eval()(images()), source.eval()(images()))


def test_options_reach_the_packages_decoders() -> None:
    assert DECODERS.keys() >= {"fpn", "deeplabv3plus", "segformer"}
    choices: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        (
            "encoder_unet",
            {"attention": "scse", "decoder_channels": [64, 48, 32, 16, 16]},
            {"decoder_attention_type": "scse", "decoder_channels": (64, 48, 32, 16, 16)},
        ),
        (
            "unetplusplus",
            {"attention": "scse", "decoder_channels": [64, 48, 32, 16, 16]},
            {"decoder_attention_type": "scse", "decoder_channels": (64, 48, 32, 16, 16)},
        ),
        (
            "fpn",
            {"pyramid_channels": 64, "decoder_channels": 32, "dropout": 0.4},
            {
                "decoder_pyramid_channels": 64,
                "decoder_segmentation_channels": 32,
                "decoder_dropout": 0.4,
            },
        ),
        (
            "deeplabv3plus",
            {"decoder_channels": 32, "atrous_rates": [2, 4, 6], "output_stride": 8, "dropout": 0.1},
            {
                "decoder_channels": 32,
                "decoder_atrous_rates": (2, 4, 6),
                "encoder_output_stride": 8,
                "decoder_aspp_dropout": 0.1,
            },
        ),
        ("segformer", {"decoder_channels": 32}, {"decoder_segmentation_channels": 32}),
    ]
    for name, ours, theirs in choices:
        with torch.device("meta"):
            net = build_network(name, outputs=2, seed=7, **ours)
            own = getattr(smp, DECODERS[name])(
                "resnet18", encoder_weights=None, classes=2, **theirs
            )
        assert str(net) == str(own), name


@pytest.mark.parametrize("name", [*UNETS, "segformer"])
def test_dropout_leaves_out_channels_while_training_only(name: str) -> None:
    own: dict[str, Any] = {"width": 4, "depth": 3} if name == "unet" else {}
    plain = build_network(name, outputs=1, seed=7, **own)
    net = build_network(name, outputs=1, seed=7, dropout=0.5, **own)
    assert list(net.state_dict()) == list(plain.state_dict())
    assert torch.equal(net.eval()(images()), plain.eval()(images()))
    net.train()
    assert not torch.equal(net(images()), net(images()))
    assert last_layers(net) == last_layers(plain)
