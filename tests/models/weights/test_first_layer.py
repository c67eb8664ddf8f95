"""Networks for images of any number of channels: shapes, first weights, normalisation."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from timm.models._manipulate import adapt_input_conv
from torch import nn

from darkroom.errors import ArtifactError
from darkroom.models.build import build_network, normalisation
from darkroom.models.weights.first_layer import adapted_weight, first_convolution
from darkroom.models.weights.loading import load_pretrained
from darkroom.params.networks import CLASSIFIERS

SMALL: dict[str, Any] = {
    "unet": {"width": 4, "depth": 2},
    "small_cnn": {"width": 4, "depth": 2},
    "encoder_unet": {},
    "resnet18": {},
}
REGNETS = [name for name in CLASSIFIERS if name.startswith("regnet")]


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_weights_are_adapted_as_timm_does(channels: int) -> None:
    rgb = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(adapted_weight(rgb, channels), adapt_input_conv(channels, rgb))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("channels", [1, 6])
def test_a_network_takes_images_of_its_channels(name: str, channels: int) -> None:
    net = build_network(name, outputs=2, seed=7, channels=channels, **SMALL[name]).eval()
    assert net(torch.zeros(1, channels, 32, 32)).shape[:2] == (1, 2)
    assert len(normalisation(name, channels=channels)[0]) == channels


# RegNets compute their widths with tensors, which must have values.
@pytest.mark.parametrize("name", [n for n in CLASSIFIERS if n not in REGNETS[1:]])
def test_the_first_convolution_of_each_classifier_is_the_one_that_is_adapted(name: str) -> None:
    with torch.device("cpu" if name in REGNETS else "meta"):
        net = build_network(name, outputs=2, seed=7, channels=5)
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert layers[0].weight.shape[1] == layers[0].in_channels == 5
    assert not [layer for layer in layers[1:] if layer.in_channels == 3]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_a_transform_of_three_channels_is_left_out_for_others(name: str) -> None:
    net = build_network(name, outputs=2, seed=7, channels=4).eval()
    assert net(torch.zeros(1, 4, 80, 80)).shape == (1, 2)
    assert normalisation(name, channels=4) == ((0.5,) * 4, (0.5,) * 4)


def test_random_first_weights_keep_the_gain() -> None:
    std = {
        channels: float(first_convolution(net)[1].weight.detach().std())
        for channels in (3, 12)
        for net in [build_network("resnet18", outputs=2, seed=7, channels=channels)]
    }
    assert std[12] == pytest.approx(std[3] / 2, rel=0.05)


def test_normalisation_follows_the_weights() -> None:
    (red, green, blue), _ = normalisation("unet")
    assert normalisation("unet", channels=4)[0] == (red, green, blue, red)
    (grey,), _ = normalisation("unet", channels=1)
    assert grey == pytest.approx((red + green + blue) / 3)


def test_weights_for_other_channels_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file(build_network("unet", outputs=1, seed=1, width=4, depth=2).state_dict(), file)
    net = build_network("unet", outputs=1, seed=1, channels=6, width=4, depth=2)
    with pytest.raises(ArtifactError, match=r"other channels\n.*found: 3 channels\n.*expected: 6"):
        load_pretrained(net, file)
