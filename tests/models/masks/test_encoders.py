"""Decoders over ready-made encoders: what can be refused is refused in our words."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from segmentation_models_pytorch.encoders import encoders as known
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from torch import nn

from darkroom.errors import ParamsError, ResourceError
from darkroom.models.build import build_network, normalisation, normalise
from darkroom.models.masks import encoders
from darkroom.params.networks import DECODERS

REST = [name for name in DECODERS if name != "fpn"]


def over(name: str, encoder: str = "resnet18", **arguments: Any) -> nn.Module:
    return build_network(name, outputs=2, seed=7, encoder=encoder, **arguments)


@pytest.mark.parametrize("name", ["fpn", *(pytest.param(n, marks=pytest.mark.slow) for n in REST)])
def test_first_weights_are_those_of_the_packages_own(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        own = getattr(smp, DECODERS[name])("resnet18", encoder_weights=None, classes=2)
    net = over(name)
    assert list(net.state_dict()) == list(own.state_dict())
    assert all(torch.equal(t, own.state_dict()[key]) for key, t in net.state_dict().items())


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize(
    "encoder",
    [
        "resnet18",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("mobilenet_v2", "tu-convnext_tiny")),
    ],
)
def test_logits_have_the_size_of_the_picture(name: str, encoder: str) -> None:
    with torch.device("meta"):
        net = over(name, encoder).eval()
        assert net(torch.zeros(2, 3, 64, 96)).shape == (2, 2, 64, 96)


@pytest.mark.parametrize("name", DECODERS)
def test_a_size_that_does_not_divide_names_sizes_that_do(name: str) -> None:
    with torch.device("meta"):
        net = over(name)
    stride = 16 if name == "deeplabv3plus" else 32
    with pytest.raises(ParamsError, match=f"both multiples of {stride}") as caught:
        net(torch.zeros(1, 3, 100, 128))
    near = "112 x 128 or 96 x 128" if stride == 16 else "128 x 128 or 96 x 128"
    assert near in str(caught.value)
    assert f"the encoder of this {name}" in str(caught.value)
    assert "100 px high and 128 px wide" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("deeplabv3plus", "vgg11"),
        ("deeplabv3plus", "tu-vgg11"),
        ("deeplabv3plus", "tu-swin_tiny_patch4_window7_224"),
        ("unetplusplus", "mit_b0"),
        ("fpn", "tu-vit_tiny_patch16_224"),
    ],
)
def test_an_encoder_that_does_not_fit_the_decoder_is_refused(name: str, encoder: str) -> None:
    refused = pytest.raises(ParamsError, match=f"{name} does not work with this encoder")
    with torch.device("meta"), refused as caught:
        over(name, encoder)
    assert f"found: {encoder}: " in str(caught.value)


def test_an_encoder_of_one_size_refuses_others() -> None:
    with torch.device("meta"):
        net = over("fpn", "tu-swin_tiny_patch4_window7_224")
    with pytest.raises(ParamsError, match=r"images of one size only[\s\S]*224 x 224"):
        net(torch.zeros(1, 3, 64, 64))


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(ParamsError, match="no encoder 'resnet3'; did you mean 'resnet34' or "):
        over("fpn", "resnet3")


def test_weights_that_are_not_published_for_an_encoder_are_refused() -> None:
    with pytest.raises(ParamsError, match="resnext101_32x4d has no ImageNet weights"):
        over("encoder_unet", "resnext101_32x4d", weights="imagenet")


def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(encoders, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def test_imagenet_without_a_network_says_which_files_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is then put there is taken."""
    settings = known["resnet18"]["pretrained_settings"]["imagenet"]
    place = cache(tmp_path, monkeypatch) / "models--smp-hub--resnet18.imagenet" / "snapshots"
    place = place / settings["revision"]
    with pytest.raises(ResourceError, match="resnet18 could not be downloaded") as caught:
        over("fpn", weights="imagenet")
    assert f"config.json and model.safetensors in {place}" in str(caught.value)

    source = build_network("resnet18", outputs=1, seed=3).state_dict()
    body = {key: tensor for key, tensor in source.items() if not key.startswith("fc.")}
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    save_file(body, place / "model.safetensors")
    net = over("fpn", weights="imagenet").state_dict()
    assert all(torch.equal(net[f"encoder.{key}"], body[key]) for key in body)


@pytest.mark.slow
def test_timms_weights_without_a_network_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is then put there is taken."""
    place = cache(tmp_path, monkeypatch) / "models--timm--resnet18.a1_in1k"
    with pytest.raises(ResourceError, match="tu-resnet18 could not be downloaded") as caught:
        over("fpn", "tu-resnet18", weights="imagenet")
    assert f"model.safetensors in {place / 'snapshots' / 'main'}, " in str(caught.value)
    assert f"a file {place / 'refs' / 'main'} that holds the word main" in str(caught.value)

    source = build_network("resnet18", outputs=1000, seed=3).state_dict()
    for folder in ("snapshots/main", "refs"):
        (place / folder).mkdir(parents=True)
    (place / "refs" / "main").write_text("main")
    save_file(source, place / "snapshots" / "main" / "model.safetensors")
    net = over("fpn", "tu-resnet18", weights="imagenet").state_dict()
    assert torch.equal(net["encoder.model.conv1.weight"], source["conv1.weight"])


# The same network of timm's, which says how its weights were trained, for each of the package's.
@pytest.mark.parametrize(
    ("encoder", "timms"),
    [
        ("resnet34", "resnet34"),
        ("dpn68", "dpn68"),
        ("inceptionv4", "inception_v4"),
        ("inceptionresnetv2", "inception_resnet_v2"),
        ("timm-tf_efficientnet_lite0", "tf_efficientnet_lite0"),
        ("timm-efficientnet-b0", "tf_efficientnet_b0"),
        ("xception", "legacy_xception"),
    ],
)
def test_normalised_as_the_published_weights_expect(encoder: str, timms: str) -> None:
    card = timm.get_pretrained_cfg(timms)
    assert card is not None
    for name in (encoder, f"tu-{timms}"):
        mean, std = normalisation("fpn", encoder=name)
        assert tuple(mean) == pytest.approx(card.mean)
        assert tuple(std) == pytest.approx(card.std)


@pytest.mark.parametrize(
    "encoder", ["resnet18", "tf_efficientnet_lite0", "convnextv2_atto", "vit_tiny_patch16_224"]
)
def test_images_are_normalised_as_timms_own_transform_does(encoder: str) -> None:
    """Of one colour, so that resizing and cropping do not matter."""
    card = timm.get_pretrained_cfg(encoder)
    assert card is not None
    picture = Image.new("RGB", (300, 300), (20, 120, 250))
    config = resolve_data_config(pretrained_cfg=vars(card))
    transform = create_transform(**config)
    expected = transform(picture)[:, 0, 0]
    pixels = torch.tensor([20, 120, 250], dtype=torch.uint8).view(1, 3, 1, 1)
    mean, std = normalisation("fpn", encoder=f"tu-{encoder}")
    torch.testing.assert_close(normalise(pixels, mean, std).flatten(), expected)
