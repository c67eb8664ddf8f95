"""torchvision's classifiers: its own layers and first weights, a new head, pictures that fit."""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import hub, nn
from torchvision import models as theirs
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from darkroom.errors import ParamsError, ResourceError
from darkroom.models.build import build_network, normalisation, normalise
from darkroom.models.classifiers import LEAST, ONLY, imagenet_file
from darkroom.models.layer_groups import last_layers
from darkroom.models.weights.loading import load_pretrained
from darkroom.params.networks import CLASSIFIERS

# The smallest of each family, and a side that it can take.
FAMILIES = {
    "alexnet": 63,
    "convnext_tiny": 32,
    "densenet121": 29,
    "efficientnet_b0": 16,
    "efficientnet_v2_s": 16,
    "googlenet": 32,
    "inception_v3": 75,
    "maxvit_t": 224,
    "mnasnet0_5": 16,
    "mobilenet_v2": 16,
    "mobilenet_v3_small": 16,
    "regnet_x_400mf": 16,
    "resnet18": 16,
    "resnext50_32x4d": 16,
    "shufflenet_v2_x0_5": 16,
    "squeezenet1_0": 21,
    "squeezenet1_1": 17,
    "swin_t": 16,
    "swin_v2_t": 16,
    "vgg11_bn": 32,
    "vit_b_32": 224,
    "wide_resnet50_2": 16,
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_images_are_normalised_as_torchvisions_own_transform_does(name: str) -> None:
    """Of one colour, so that resizing and cropping do not matter. efficientnet_v2_l differed."""
    colour = torch.tensor([20, 120, 250], dtype=torch.uint8).view(3, 1, 1).expand(3, 8, 8)
    tags = {"vit_h_14": "IMAGENET1K_SWAG_LINEAR_V1"}
    transform = theirs.get_model_weights(name)[tags.get(name, "DEFAULT")].transforms()
    expected = transform(colour)[:, 0, 0]
    mean, std = normalisation(name, weights=None)
    torch.testing.assert_close(normalise(colour[None], mean, std)[0, :, 0, 0], expected)


@pytest.mark.parametrize(
    ("name", "block", "layers"),
    [
        ("resnet18", BasicBlock, [2, 2, 2, 2]),
        pytest.param("resnet50", Bottleneck, [3, 4, 6, 3], marks=pytest.mark.slow),
    ],
)
def test_first_weights_are_those_of_torchvisions_own(
    name: str, block: Any, layers: list[int]
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        own = ResNet(block, layers, num_classes=3).state_dict()
    net = build_network(name, outputs=3, seed=7).state_dict()
    assert list(net) == list(own)
    assert all(torch.equal(net[key], own[key]) for key in own)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_trains_and_predicts(name: str) -> None:
    """Every parameter gets a gradient; the least picture is taken, a smaller one is refused."""
    torch.manual_seed(1)
    net = build_network(name, outputs=3, seed=1).train()
    side = FAMILIES[name]
    images = torch.randn(2, 3, side, side)
    logits = net(images)
    assert logits.shape == (2, 3), "no side head answers beside"
    logits.square().mean().backward()
    lacking = {n for n, p in net.named_parameters() if p.grad is None}
    assert lacking == set()
    with torch.inference_mode():
        assert net.eval()(images).shape == (2, 3)
    if name in ONLY or side == next((s for b, s in LEAST.items() if name.startswith(b)), 0):
        with pytest.raises(ParamsError, match=f"{side - 1} px high and {side} px wide"):
            net(torch.zeros(2, 3, side - 1, side))


def test_a_family_of_each_name() -> None:
    assert {name.partition("_")[0].rstrip("0123456789") for name in CLASSIFIERS} <= {
        name.partition("_")[0].rstrip("0123456789") for name in FAMILIES
    }
    for beginning in (*LEAST, *ONLY):
        assert any(name.startswith(beginning) for name in CLASSIFIERS)


@pytest.mark.parametrize(
    ("name", "side", "words"),
    [
        (
            "squeezenet1_1",
            16,
            "squeezenet1_1 shrinks an image of this size to nothing[\\s\\S]*at least 17 px",
        ),
        ("vit_b_32", 256, r"vit_b_32 takes images of one size only[\s\S]*224 x 224"),
    ],
)
def test_an_image_of_an_unsupported_size_is_refused(name: str, side: int, words: str) -> None:
    with torch.device("meta"):
        net = build_network(name, outputs=2, seed=1)
    with pytest.raises(ParamsError, match=words):
        net(torch.zeros(1, 3, side, side))


def test_squeezenet_has_negative_logits() -> None:
    """torchvision's ends in a ReLU: a yes/no question could never be answered by less than half."""
    torch.manual_seed(1)
    net = build_network("squeezenet1_1", outputs=8, seed=1).eval()
    with torch.inference_mode():
        assert net(torch.randn(8, 3, 32, 32)).min() < 0


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_side_heads_are_left_out_of_published_weights(name: str) -> None:
    with torch.device("meta"):
        published = theirs.get_model(name, init_weights=False).state_dict()
        net = build_network(name, outputs=2, seed=1)
    assert any(key.lower().startswith("aux") for key in published)
    assert set(net.state_dict()) == {k for k in published if not k.lower().startswith("aux")}
    assert net.transform_input, "as its published weights were trained"


def test_values_come_from_a_classifier_too() -> None:
    net = build_network("resnet18", outputs=2, seed=1, shift=[5.0, 50.0], scale=[1.0, 10.0]).eval()
    bare = build_network("resnet18", outputs=2, seed=1).eval()
    images = torch.randn(2, 3, 16, 16)
    by_hand = bare(images) * torch.tensor([1.0, 10.0]) + torch.tensor([5.0, 50.0])
    torch.testing.assert_close(net(images), by_hand)


def test_imagenet_without_a_network_says_which_file_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(hub, "download_url_to_file", offline)
    with pytest.raises(ResourceError, match="resnet18 could not be downloaded") as caught:
        build_network("resnet18", outputs=2, seed=1, weights="imagenet")
    assert f"resnet18-f37072fd.pth in {tmp_path / 'hub' / 'checkpoints'}" in str(caught.value)
    assert "Name or service not known" in str(caught.value)


def test_imagenet_takes_the_file_that_was_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    torch.manual_seed(1)
    source = theirs.resnet18(num_classes=1000)
    torch.save(source.state_dict(), file)
    assert imagenet_file("resnet18") == file
    net = build_network("resnet18", outputs=2, seed=1, weights="imagenet")
    assert torch.equal(net.get_parameter("conv1.weight"), source.conv1.weight)
    assert torch.equal(
        net.get_parameter("fc.weight"),
        build_network("resnet18", outputs=2, seed=1).get_parameter("fc.weight"),
    )


def test_every_published_file_can_be_checked_and_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name ends in digits of its sha256; and it is for the size that the network has."""
    monkeypatch.setattr("pathlib.Path.is_file", lambda _: True)
    for name in CLASSIFIERS:
        digits = imagenet_file(name).stem.rpartition("-")[2]
        assert len(digits) >= 8, name
        int(digits, 16)
    assert imagenet_file("vit_h_14").name == "vit_h_14_lc_swag-c1eb923e.pth"


OLD_NAMES = {
    "densenet121": {"denselayer1.norm1.": "denselayer1.norm.1.", "r2.conv2.": "r2.conv.2."},
    "vit_b_32": {".mlp.0.": ".mlp.linear_1.", ".mlp.3.": ".mlp.linear_2."},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet121", "mnasnet0_5", "vit_b_32"])
def test_files_of_old_torchvisions_fit(name: str, tmp_path: Path) -> None:
    source, old = build_network(name, outputs=4, seed=1).state_dict(), {}
    for key, tensor in source.items():
        for today, then in OLD_NAMES.get(name, {}).items():
            key = key.replace(today, then)
        old[key] = tensor
    assert (list(old) != list(source)) == (name in OLD_NAMES)
    torch.save(old, tmp_path / "old.pth")
    net: nn.Module = build_network(name, outputs=2, seed=2)
    load_pretrained(net, tmp_path / "old.pth")
    state, (top,) = net.state_dict(), last_layers(net)
    same = {key for key in state if torch.equal(state[key], source[key])}
    assert set(state) - same == {f"{top}.weight", f"{top}.bias"}
