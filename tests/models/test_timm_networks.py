"""timm's networks: any of them by name, at the size of the images, with what their cards say."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data.config import resolve_data_config
from timm.data.transforms_factory import create_transform
from timm.layers import DropPath
from timm.models import PretrainedCfg
from torch import nn

from darkroom.errors import ArtifactError, ParamsError, ResourceError
from darkroom.models import timm_networks
from darkroom.models.build import build_network, network_notes, normalisation, normalise
from darkroom.models.layer_groups import freeze_backbone, head_modules, last_layers
from darkroom.models.saved import load_model, save_model
from darkroom.models.sizes import check_size

# A small network of each family, and a size that it takes and is not its own.
FAMILIES = {
    "test_convnext": (32, 48),
    "test_efficientnet": (32, 40),
    "test_vit": (32, 48),
    "test_nfnet": (32, 32),
    "resnet18d": (33, 47),
    "swin_tiny_patch4_window7_224": (56, 84),
    "eva02_tiny_patch14_224": (28, 42),
    "tf_efficientnetv2_b0": (40, 32),
    "convmixer_768_32": (40, 50),
    "efficientformer_l1": (224, 224),
}


def _kernels_are_compared() -> bool:
    try:
        nn.Conv2d(1, 1, 2, device="meta")(torch.zeros(1, 1, 1, 1, device="meta"))
    except RuntimeError:
        return True
    return False


KERNELS_ARE_COMPARED = _kernels_are_compared()


def network(backbone: str, size: tuple[int, int] = (32, 32), **arguments: Any) -> nn.Module:
    outputs = arguments.pop("outputs", 3)
    return build_network("timm", backbone=backbone, size=size, outputs=outputs, seed=7, **arguments)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("backbone", FAMILIES)
def test_logits_for_images_of_any_channels_and_size(backbone: str, channels: int) -> None:
    size = FAMILIES[backbone]
    with torch.device("meta"):
        net = network(backbone, size, channels=channels).eval()
        check_size(net, channels, *size)
        assert net(torch.zeros(2, channels, *size)).shape == (2, 3)


def test_first_weights_are_timms_own() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        own = timm.create_model("test_vit", num_classes=3, img_size=(32, 48))
    mine = network("test_vit", (32, 48)).state_dict()
    assert list(mine) == list(own.state_dict())
    assert all(torch.equal(tensor, mine[name]) for name, tensor in own.state_dict().items())


def test_a_regression_learns_in_the_units_of_the_table() -> None:
    net = network("test_convnext", outputs=1, output="softplus", shift=[1900.0], scale=[50.0])
    values = net.eval()(torch.zeros(2, 3, 32, 32))
    assert values.dtype == torch.float32
    assert (values > 0).all()
    assert head_modules(net) == ("head.fc", "values")


@pytest.mark.parametrize(
    ("backbone", "head"),
    [("test_vit", ("head",)), ("efficientformer_l1", ("head", "head_dist")), ("dla34", ("fc",))],
)
def test_the_last_layers_are_those_that_timm_names(backbone: str, head: tuple[str, ...]) -> None:
    with torch.device("meta"):
        net = network(backbone, (64, 64))
    assert last_layers(net) == head
    freeze_backbone(net)
    learning = {name for name, p in net.named_parameters() if p.requires_grad}
    assert learning == {f"{name}.{kind}" for name in head for kind in ("weight", "bias")}


@pytest.mark.parametrize(
    ("backbone", "size", "words"),
    [
        ("vit_tiny_patch16_224", (100, 96), r"both multiples of 16[\s\S]*112 x 96 or 96 x 96"),
        ("crossvit_9_240", (96, 128), r"expected: .*240 x 240"),
        ("gcvit_xxtiny", (90, 100), r"expected: 96 x 96 or 64 x 96 or 96 x 128"),
        pytest.param(
            *("test_convnext", (8, 8), r"8 px high and 8 px wide[\s\S]*expected: 32 x 32"),
            marks=pytest.mark.skipif(
                not KERNELS_ARE_COMPARED,
                reason=f"torch {torch.__version__} lets a kernel be larger than its map on meta",
            ),
        ),
        ("gemma4_vit_167m_enc", (96, 96), r"no network for labels: its outputs are \(2, 4, 768\)"),
    ],
)
def test_a_size_that_does_not_work_names_sizes_that_do(
    backbone: str, size: tuple[int, int], words: str
) -> None:
    with torch.device("meta"):
        net = network(backbone, size)
    with pytest.raises(ParamsError, match=words):
        check_size(net, 3, *size)


def test_what_is_made_for_one_size_refuses_windows_of_another() -> None:
    net = network("test_vit", (32, 48))
    with pytest.raises(ParamsError, match=r"images of one size only[\s\S]*32 x 48"):
        check_size(net, 3, 32, 32)
    network("test_convnext", (64, 64)).eval()(torch.zeros(1, 3, 32, 48))


def test_drop_path_dropout_and_pool_reach_the_network() -> None:
    net = network("resnet18d", drop_path=0.2, dropout=0.3, pool="catavgmax")
    rates = [m.drop_prob for m in net.modules() if isinstance(m, DropPath)]
    assert max(rates) == pytest.approx(0.2)
    assert net.drop_rate == 0.3
    features = [m.get_submodule("fc").in_features for m in (net, network("resnet18d"))]
    assert features[0] == 2 * features[1]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("backbone", "option", "key"),
    [
        ("densenet121", {"drop_path": 0.1}, r"no drop_path that could be set[\s\S]*0\.1"),
        ("convmixer_768_32", {"drop_path": 0.1}, "no drop_path that could be set"),
        (
            "test_convnext",
            {"pool": "token"},
            r"no pool token[\s\S]*expected: null, avg or max or avgmax\n",
        ),
        ("test_resnet", {"pool": "map"}, "expected: null, avg or max or avgmax or catavgmax\n"),
        (
            "test_vit",
            {"pool": "catavgmax"},
            "expected: null, avg or max or avgmax or token or map\n",
        ),
        ("coat_lite_tiny", {"pool": "max"}, r"no pool[\s\S]*model.pool: max \(Only token or avg"),
    ],
)
def test_an_option_that_a_network_lacks_is_refused(
    backbone: str, option: dict[str, Any], key: str
) -> None:
    with torch.device("meta"), pytest.raises(ParamsError, match=key):
        network(backbone, (64, 64), **option)


@pytest.mark.parametrize("backbone", ["resnet18", "convnext_tiny", "test_vit", "inception_v4"])
def test_images_are_normalised_as_timms_own_transform_does(backbone: str) -> None:
    card = timm.get_pretrained_cfg(backbone)
    assert card is not None
    transform = create_transform(**resolve_data_config(pretrained_cfg=vars(card)))
    expected = transform(Image.new("RGB", (300, 300), (20, 120, 250)))[:, 0, 0]
    pixels = torch.tensor([20, 120, 250], dtype=torch.uint8).view(1, 3, 1, 1)
    own = normalise(pixels, *normalisation("timm", backbone=backbone)).flatten()
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-6)


def test_mean_and_std_are_those_of_the_tag() -> None:
    assert normalisation("timm", backbone="vit_base_patch16_224.augreg_in1k")[0] == (0.5,) * 3
    assert normalisation("timm", backbone="vit_base_patch16_224.dino")[0] == (0.485, 0.456, 0.406)


def test_an_unknown_name_or_tag_is_refused() -> None:
    with pytest.raises(ParamsError, match="timm has no network 'resnet17'; did you mean"):
        network("resnet17")
    # Its tags are put together while timm is imported, so that only timm knows them.
    with pytest.raises(ParamsError, match=r"Invalid pretrained tag \(nonesuch\)"):
        network("deepseek_vit_412m_align.nonesuch")


def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(timm_networks, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def published(folder: Path, backbone: str, seed: int = 3) -> dict[str, torch.Tensor]:
    """Put drawn weights where the hub's client looks for published ones, and return them."""
    card = timm.get_pretrained_cfg(backbone)
    assert card is not None
    place = folder / f"models--{str(card.hf_hub_id).replace('/', '--')}"
    torch.manual_seed(seed)
    weights: dict[str, torch.Tensor] = timm.create_model(backbone).state_dict()
    for name in ("snapshots/main", "refs"):
        (place / name).mkdir(parents=True)
    (place / "refs" / "main").write_text("main")
    save_file(weights, place / "snapshots" / "main" / "model.safetensors")
    return weights


def test_published_weights_without_a_network_say_which_file_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is then put there is taken, for other channels too, but for the head."""
    place = cache(tmp_path, monkeypatch) / "models--timm--test_resnet.r160_in1k"
    with pytest.raises(ResourceError, match="weights of test_resnet could not") as caught:
        network("test_resnet", weights="imagenet")
    assert f"model.safetensors in {place / 'snapshots' / 'main'}, " in str(caught.value)
    assert f"a file {place / 'refs' / 'main'} that holds the word main" in str(caught.value)
    assert "huggingface.co/timm/test_resnet.r160_in1k" in str(caught.value)

    weights = published(tmp_path, "test_resnet")
    net = network("test_resnet", weights="imagenet", channels=1).state_dict()
    assert net["fc.weight"].shape[0] == 3
    for name in weights.keys() - {"fc.weight", "fc.bias", "conv1.0.weight"}:
        assert torch.equal(net[name], weights[name]), name
    grey = weights["conv1.0.weight"].sum(1, keepdim=True)
    torch.testing.assert_close(net["conv1.0.weight"], grey)


def test_published_position_embeddings_are_fitted_to_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = published(cache(tmp_path, monkeypatch), "test_vit")
    net = network("test_vit", (32, 48), weights="imagenet").state_dict()
    assert net["pos_embed"].shape[1] == 2 * 3 + 1 != weights["pos_embed"].shape[1]
    assert torch.equal(net["blocks.0.attn.qkv.weight"], weights["blocks.0.attn.qkv.weight"])


def test_weights_that_do_not_exist_are_refused_before_a_download() -> None:
    with pytest.raises(ParamsError, match="timm publishes no weights of efficientnet_b8"):
        network("efficientnet_b8", weights="imagenet")


def test_weights_of_a_run_at_another_size_fit(tmp_path: Path) -> None:
    """As for progressive sizes: position embeddings are interpolated, the head may differ."""
    source = network("test_vit", (32, 32), outputs=5)
    save_model(tmp_path / "small", source, {"model": {"name": "timm"}})
    net = network("test_vit", (48, 64), weights=str(tmp_path / "small")).state_dict()
    own = source.state_dict()
    assert net["pos_embed"].shape[1] == 3 * 4 + 1 != own["pos_embed"].shape[1]
    assert torch.equal(net["blocks.1.mlp.fc1.weight"], own["blocks.1.mlp.fc1.weight"])
    assert net["head.weight"].shape == (3, own["head.weight"].shape[1])


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "run", network("test_convnext"), {"model": {"name": "timm"}})
    with pytest.raises(ArtifactError, match="these weights are another network's"):
        network("test_vit", weights=str(tmp_path / "run"))


@pytest.mark.parametrize(
    "backbone", [n for n in FAMILIES if n.startswith(("test", "resnet", "tf_eff"))]
)
def test_a_saved_network_loads_without_any_server(
    backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = FAMILIES[backbone]
    options: dict[str, Any] = {"drop_path": 0.1, "dropout": 0.1, "pool": "avg"}
    arguments = options | {"backbone": backbone, "size": list(size), "outputs": 2}
    net = build_network("timm", seed=5, **arguments).eval()
    save_model(tmp_path / "m", net, {"model": {"name": "timm", "weights": "imagenet", **arguments}})

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it asked for a file")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    loaded, _ = load_model(tmp_path / "m")
    images = torch.rand(2, 3, *size)
    with torch.inference_mode():
        assert torch.equal(loaded(images), net(images))


def notes(backbone: str, weights: str | None, size: tuple[int, int] = (224, 224)) -> str:
    return "; ".join(network_notes("timm", backbone=backbone, weights=weights, size=size))


def test_a_licence_that_is_not_free_for_all_use_is_said() -> None:
    assert (
        "convnextv2_nano.fcmae_ft_in1k are not free for all use: their licence is cc-by-nc-4.0"
        in (notes("convnextv2_nano.fcmae_ft_in1k", "imagenet"))
    )
    assert notes("convnextv2_nano.fcmae_ft_in1k", None) == ""
    assert notes("convnext_tiny.in12k_ft_in1k", "imagenet") == ""
    (line,) = network_notes("vit_h_14", weights="imagenet")
    assert "facebookresearch/SWAG/blob/main/LICENSE" in line
    assert network_notes("resnet18", weights="imagenet") == []
    assert network_notes("unet") == []


def test_images_of_another_size_than_the_weights_learned_from_are_said() -> None:
    line = notes("convnext_tiny.in12k_ft_in1k", "file.safetensors", (128, 96))
    assert line == (
        "convnext_tiny.in12k_ft_in1k learned from images of 224 x 224 (a crop of 0.95 of them), "
        "and these are 128 x 96 (height x width)"
    )
    assert notes("convnext_tiny", None, (128, 96)) == ""


def test_a_network_without_a_card_has_that_of_imagenet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda *_: None)
    card = timm_networks.card_of("resnet18")
    assert card == PretrainedCfg(architecture="resnet18")
    with pytest.raises(ParamsError, match="timm publishes no weights of resnet18"):
        network("resnet18", weights="imagenet")
