"""ResNets: torchvision's own layers, a new head, a backbone that stays frozen."""

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import hub
from torchvision import models as torchvision_models

from darkroom.errors import ArtifactError, ParamsError, ResourceError
from darkroom.models.resnet import LAYERS, imagenet_file, resnet


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        ours, theirs = resnet(name, outputs=1000), torchvision_models.get_model(name)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }


def test_a_frozen_backbone_stays_as_it_is_in_training() -> None:
    net = resnet("resnet18", outputs=2, freeze="backbone").train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    learning = [p for p in net.parameters() if p.requires_grad]
    assert len(learning) == 2, "the head's weight and bias"
    step = torch.optim.SGD(learning, 0.1)
    net(torch.randn(4, 3, 32, 32)).square().mean().backward()
    step.step()
    changed = [n for n, t in net.state_dict().items() if not torch.equal(t, before[n])]
    assert changed == ["fc.weight", "fc.bias"], "running means and variances do not move"
    assert net.training
    assert not net.bn1.training


def test_what_is_not_frozen_learns() -> None:
    net = resnet("resnet18", outputs=2).train()
    mean = net.bn1.running_mean.clone()
    net(torch.randn(4, 3, 32, 32))
    assert net.bn1.training
    assert not torch.equal(net.bn1.running_mean, mean)
    assert all(p.requires_grad for p in net.parameters())


def test_weights_of_a_file_but_a_new_head(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = torchvision_models.resnet18(num_classes=1000)
    torch.save(source.state_dict(), tmp_path / "w.pth")
    net = resnet("resnet18", outputs=3, weights=str(tmp_path / "w.pth"))
    assert torch.equal(net.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    assert net.fc.weight.shape == (3, 512)
    with pytest.raises(ArtifactError, match="another network's"):
        resnet("resnet34", outputs=3, weights=str(tmp_path / "w.pth"))


def test_imagenet_without_a_network_says_which_file_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(hub, "download_url_to_file", offline)
    with pytest.raises(ResourceError, match="resnet18 could not be downloaded") as caught:
        resnet("resnet18", outputs=2, weights="imagenet")
    assert f"resnet18-f37072fd.pth in {tmp_path / 'hub' / 'checkpoints'}" in str(caught.value)
    assert "Name or service not known" in str(caught.value)


def test_imagenet_takes_the_file_that_was_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    torch.manual_seed(1)
    source = torchvision_models.resnet18(num_classes=1000)
    torch.save(source.state_dict(), file)
    assert imagenet_file("resnet18") == file
    net = resnet("resnet18", outputs=2, weights="imagenet", freeze="backbone")
    assert torch.equal(net.conv1.weight, source.conv1.weight)
    assert not net.conv1.weight.requires_grad


def test_an_unknown_freeze() -> None:
    with pytest.raises(ParamsError, match=r"found: head[\s\S]*expected: none, backbone"):
        resnet("resnet18", outputs=2, freeze="head")  # type: ignore[arg-type]
