"""U-Nets over ready-made encoders: what can be refused is refused in our words."""

from pathlib import Path

import pytest
import torch

from darkroom.errors import ParamsError, ResourceError
from darkroom.models import encoders
from darkroom.models.encoders import encoder_unet


def test_size_that_does_not_divide_names_sizes_that_do() -> None:
    net = encoder_unet(outputs=1, encoder="resnet18").eval()
    with pytest.raises(ParamsError, match="both multiples of 32") as caught:
        net(torch.zeros(1, 3, 100, 128))
    assert "128 x 128 or 96 x 128" in str(caught.value)
    assert "100 px high and 128 px wide" in str(caught.value)


def test_an_unknown_encoder_tells_the_nearest() -> None:
    with pytest.raises(ParamsError, match="did you mean resnet34"):
        encoder_unet(outputs=1, encoder="resnet3")
    with pytest.raises(ParamsError, match="tu-nonesuch"):
        encoder_unet(outputs=1, encoder="tu-nonesuch")


def test_weights_that_an_encoder_lacks() -> None:
    with pytest.raises(ParamsError, match="resnet18 has no weights of this name"):
        encoder_unet(outputs=1, weights="places")  # type: ignore[arg-type]


def test_imagenet_without_a_network_says_which_files_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise FileNotFoundError("cannot find the requested files in the local cache")

    monkeypatch.setattr("segmentation_models_pytorch.encoders.hf_hub_download", offline)
    monkeypatch.setattr(encoders, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ResourceError, match="resnet18 could not be downloaded") as caught:
        encoder_unet(outputs=1, weights="imagenet")
    place = tmp_path / "models--smp-hub--resnet18.imagenet" / "snapshots"
    assert f"config.json and model.safetensors in {place}" in str(caught.value)
