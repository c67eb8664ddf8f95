"""timm's families: a training that was killed goes on to the same bits, and its network loads."""

from pathlib import Path
from typing import Any

import pytest
import torch

from darkroom.models.build import build_network
from darkroom.models.saved import load_model, save_model
from darkroom.training.fit import FitResult
from tests.support.interrupted import Interrupt, Killed, outcome, train

# Norms over batches, groups, channels or none, standardised weights, windows, rotary positions,
# relative ones, squeeze and excitation, and the side of images that they take.
SMALL = {"test_convnext": 32, "test_vit": 32, "test_nfnet": 32, "test_efficientnet": 32}
LARGE = {
    "convnextv2_atto": 32,
    "tf_efficientnetv2_b0": 32,
    "eva02_tiny_patch14_224": 28,
    "swin_tiny_patch4_window7_224": 56,
    "resnet18d": 32,
}
MORE = {"nfnet_l0": 32, "swinv2_cr_tiny_ns_224": 56, "maxvit_rmlp_pico_rw_256": 64}
OPTIONS: dict[str, Any] = {"drop_path": 0.2, "dropout": 0.1}


def fitted(folder: Path, backbone: str, side: int, **options: Any) -> FitResult:
    net = build_network("timm", backbone=backbone, size=(side, side), outputs=3, seed=5, **OPTIONS)
    config = {"lr": 1e-3, "layer_decay": 0.8, "weight_decay": 0.05, "checkpoint_steps": 1}
    config |= options.pop("config", {})
    return train(folder, net=net, side=side, config=config, **options)


def killed(folder: Path, backbone: str, side: int, batch: int, **options: Any) -> FitResult:
    """Return what a training gives that is killed in a batch, and goes on by another network."""
    interrupt = Interrupt("on_batch_end", batch)
    with pytest.raises(Killed):
        fitted(folder, backbone, side, callbacks=[interrupt], **options)
    return fitted(folder, backbone, side, **options)


@pytest.mark.parametrize(
    ("backbone", "side"),
    [
        *SMALL.items(),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in LARGE.items()),
        *(pytest.param(*each, marks=pytest.mark.long) for each in MORE.items()),
    ],
)
def test_a_killed_training_goes_on_to_the_same_bits(
    backbone: str, side: int, tmp_path: Path
) -> None:
    """In its second epoch, between two checkpoints; saved and loaded, the network is the same."""
    options: dict[str, Any] = {"config": {"epochs": 2}, "images": 12}
    whole = fitted(tmp_path / "whole", backbone, side, **options)
    gone_on = killed(tmp_path / "killed", backbone, side, 6, **options)
    assert outcome(gone_on) == outcome(whole)
    arguments = {"name": "timm", "backbone": backbone, "size": [side, side], "outputs": 3}
    save_model(tmp_path / "m", gone_on.net, {"model": arguments | OPTIONS})
    loaded, _ = load_model(tmp_path / "m")
    images = torch.rand(2, 3, side, side)
    with torch.inference_mode():
        # Where the network is fused for its device, a layout changes the last bit.
        torch.testing.assert_close(loaded(images), gone_on.net(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "side"),
    [
        *SMALL.items(),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in LARGE.items()),
    ],
)
def test_a_saved_network_is_exported_as_a_graph(backbone: str, side: int, tmp_path: Path) -> None:
    """By torch.export, from which ONNX and others start: no check of ours stands in its way."""
    arguments: dict[str, Any] = {"name": "timm", "backbone": backbone, "size": [side, side]}
    arguments |= {"outputs": 3}
    save_model(tmp_path / "m", build_network(seed=5, **arguments), {"model": arguments})
    loaded, _ = load_model(tmp_path / "m")
    images = torch.rand(2, 3, side, side)
    exported = torch.export.export(loaded, (images,), strict=False).module()
    with torch.inference_mode():
        torch.testing.assert_close(exported(images), loaded(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        {"optimizer": "lion"},
        {"optimizer": "nadamw"},
        {"optimizer": "lamb"},
        {"optimizer": "muon"},
        {"freeze": "backbone", "unfreeze_epoch": 2},
        {"precision": "bf16"},
        {"channels_last": False},
    ],
    ids=lambda config: next(iter(config.values())),
)
def test_so_does_it_in_every_way_of_learning(config: dict[str, Any], tmp_path: Path) -> None:
    config = {"epochs": 2, **config}
    whole = fitted(tmp_path / "whole", "test_convnext", 32, config=config)
    gone_on = killed(tmp_path / "killed", "test_convnext", 32, 9, config=config)
    assert outcome(gone_on) == outcome(whole)


@pytest.mark.long
@pytest.mark.parametrize("backbone", ["test_vit", "test_nfnet"])
def test_a_compiled_training_goes_on_to_the_same_bits(backbone: str, tmp_path: Path) -> None:
    config = {"epochs": 2, "compile": True}
    whole = fitted(tmp_path / "whole", backbone, 32, config=config)
    assert outcome(killed(tmp_path / "killed", backbone, 32, 9, config=config)) == outcome(whole)
