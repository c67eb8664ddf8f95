"""Weights put into networks: what fits, what is refused and in which words."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from darkroom.errors import ArtifactError
from darkroom.models import saved
from darkroom.models.build import build_network
from darkroom.models.masks.unet import UNet
from darkroom.models.weights.loading import (
    load_pretrained,
    put_body,
    put_weights,
    with_current_names,
)


def small(outputs: int = 1, width: int = 2, seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet(outputs=outputs, width=width, depth=1)


def test_what_does_not_fit_is_listed() -> None:
    net, weights = small(), small().state_dict()
    del weights["inc.double_conv.0.weight"]
    weights["outc.conv.bias"] = torch.zeros(9)
    weights["extra"] = torch.zeros(1)
    with pytest.raises(ArtifactError) as caught:
        put_weights(net, weights, file=Path("w.pth"))
    for words in (
        "w.pth: these weights are another network's",
        "inc.double_conv.0.weight: absent, should be (2, 3, 3, 3)",
        "outc.conv.bias: (9,), should be (1,)",
        "extra: unknown to the network",
        "3 names or shapes that do not fit",
    ):
        assert words in str(caught.value)


def test_only_the_first_few_are_listed() -> None:
    with pytest.raises(ArtifactError) as caught:
        put_weights(small(), small(width=4).state_dict(), file=Path("w"))
    assert str(caught.value).count("should be") == 5
    assert "more" in str(caught.value)


def test_counters_may_be_absent() -> None:
    net, other = small(), small(seed=1)
    weights = {n: t for n, t in other.state_dict().items() if "num_batches" not in n}
    put_weights(net, weights, file=Path("w"))
    assert torch.equal(net.outc.conv.weight, other.outc.conv.weight)


def test_a_head_of_another_shape_stays_new() -> None:
    net, other = small(outputs=3), small(seed=1)
    own = net.outc.conv.weight.clone()
    put_body(net, other.state_dict(), file=Path("w"))
    assert torch.equal(net.outc.conv.weight, own)
    body = "inc.double_conv.0.weight"
    assert torch.equal(net.state_dict()[body], other.state_dict()[body])


def test_a_head_of_the_same_shape_is_taken() -> None:
    net, other = small(), small(seed=1)
    put_body(net, other.state_dict(), file=Path("w"))
    assert torch.equal(net.outc.conv.weight, other.outc.conv.weight)


def cnn(outputs: int = 2, seed: int = 1, **arguments: Any) -> nn.Module:
    return build_network("small_cnn", outputs=outputs, seed=seed, width=2, depth=1, **arguments)


def test_units_and_outputs_of_another_table_stay_there() -> None:
    """The same shape of head, but made for other units: the weights come, the units do not."""
    net = cnn(output="prelu", shift=[1.0, 1.0], scale=[2.0, 2.0])
    source = cnn(seed=2, output="prelu", shift=[7.0, 7.0], scale=[9.0, 9.0])
    put_body(net, source.state_dict(), file=Path("w"))
    assert all(torch.equal(t, source.state_dict()[key]) for key, t in net.state_dict().items())
    assert net.get_buffer("values.scale").tolist() == [2, 2]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [({}, {"output": "prelu"}), ({"output": "prelu"}, {}), ({"output": "prelu"}, {"outputs": 3})],
)
def test_another_kind_of_head_stays_new(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    net, source = cnn(**ours), cnn(**({"seed": 2} | theirs))
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    put_body(net, source.state_dict(), file=Path("w"))
    for key, tensor in net.state_dict().items():
        own = key.startswith(("head.", "values."))
        assert torch.equal(tensor, before[key] if own else source.state_dict()[key]), key


def run_of(folder: Path, name: str, **arguments: Any) -> dict[str, Tensor]:
    net = build_network(name, outputs=3, seed=1, **arguments)
    saved.save_model(folder, net, {"model": {"name": name, "outputs": 3} | arguments})
    return net.state_dict()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("unet", {"width": 2, "depth": 1}), ("small_cnn", {"width": 2, "depth": 1}), ("fpn", {})],
)
@pytest.mark.slow
def test_another_run_starts_any_network(
    tmp_path: Path, name: str, arguments: dict[str, Any]
) -> None:
    source = run_of(tmp_path / "run", name, **arguments)
    net = build_network(name, outputs=2, seed=2, weights=str(tmp_path / "run"), **arguments)
    new = build_network(name, outputs=2, seed=2, **arguments).state_dict()
    for key, tensor in net.state_dict().items():
        own = tensor.shape != source[key].shape
        top = key.startswith(("outc", "head", "segmentation_head"))
        assert top or not own
        assert torch.equal(tensor, new[key] if top else source[key]), key


@pytest.mark.parametrize(
    "decoder", ["encoder_unet", pytest.param("deeplabv3plus", marks=pytest.mark.slow)]
)
def test_a_classifier_starts_an_encoder(tmp_path: Path, decoder: str) -> None:
    source = run_of(tmp_path / "run", "resnet18")
    net = build_network(decoder, outputs=1, seed=2, weights=str(tmp_path / "run")).state_dict()
    new = build_network(decoder, outputs=1, seed=2).state_dict()
    for key, tensor in net.items():
        inner = key.removeprefix("encoder.")
        assert torch.equal(tensor, new[key] if inner == key else source[inner]), key


@pytest.mark.parametrize("name", ["densenet121", "mobilenet_v2", "vgg11_bn", "resnet50"])
def test_families_whose_names_are_the_encoders_too(name: str) -> None:
    with torch.device("meta"):
        source = build_network(name, outputs=3, seed=1).state_dict()
        net = build_network("encoder_unet", outputs=1, seed=1, encoder=name)
    own = {k.removeprefix("encoder."): t for k, t in net.state_dict().items() if "encoder." in k}
    assert {k: t.shape for k, t in own.items()}.items() <= {
        k: t.shape for k, t in source.items()
    }.items()
    assert all(k.startswith(("classifier", "fc")) for k in set(source) - set(own))


@pytest.mark.parametrize(("name", "words"), [("resnet34", "unknown"), ("squeezenet1_1", "absent")])
@pytest.mark.slow
def test_a_classifier_of_another_family_is_refused(tmp_path: Path, name: str, words: str) -> None:
    """resnet34 has all that resnet18 has, and more: half a network is none."""
    torch.save(build_network(name, outputs=2, seed=1).state_dict(), tmp_path / "w.pth")
    with pytest.raises(ArtifactError, match=f"another network's[\\s\\S]*{words}"):
        build_network("fpn", outputs=1, seed=1, weights=str(tmp_path / "w.pth"))


def test_another_depth_of_classifier_is_refused(tmp_path: Path) -> None:
    torch.save(cnn().state_dict(), tmp_path / "w.pth")
    with pytest.raises(ArtifactError, match="another network's"):
        build_network(
            "small_cnn", outputs=2, seed=1, width=2, depth=2, weights=str(tmp_path / "w.pth")
        )


def test_names_of_old_files_and_side_heads() -> None:
    one = torch.zeros(1)
    old = {
        "features.denseblock1.denselayer12.norm.1.running_mean": one,
        "features.denseblock1.denselayer1.conv.2.weight": one,
        "encoder.layers.encoder_layer_0.mlp.linear_1.weight": one,
        "encoder.layers.encoder_layer_0.mlp.linear_2.bias": one,
        "aux1.fc1.weight": one,
        "AuxLogits.fc.weight": one,
        "auxiliary.weight": one,
        "linear_1.weight": one,
    }
    assert list(with_current_names(small(), old)) == [
        "features.denseblock1.denselayer12.norm1.running_mean",
        "features.denseblock1.denselayer1.conv2.weight",
        "encoder.layers.encoder_layer_0.mlp.0.weight",
        "encoder.layers.encoder_layer_0.mlp.3.bias",
        "auxiliary.weight",
        "linear_1.weight",
    ]


def test_the_version_of_layers_is_kept() -> None:
    """mnasnet refuses a table that does not say of what version it is."""
    net, source = (build_network("mnasnet0_5", outputs=2, seed=seed) for seed in (1, 2))
    put_weights(net, dict(source.state_dict()), file=Path("w"))
    assert all(torch.equal(t, source.state_dict()[key]) for key, t in net.state_dict().items())


def test_fill_reads_a_file(tmp_path: Path) -> None:
    net, other = small(), small(seed=1)
    save_file(other.state_dict(), tmp_path / "w.safetensors")
    load_pretrained(net, tmp_path / "w.safetensors")
    assert torch.equal(net.outc.conv.weight, other.outc.conv.weight)
