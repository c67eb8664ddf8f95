"""The names: what torchvision has is what is written out."""

import subprocess
import sys

import pytest
import timm
import torchvision
from segmentation_models_pytorch.encoders import encoders
from timm.models._registry import get_deprecated_models
from torchvision.models import list_models

from darkroom.errors import ResourceError
from darkroom.params.networks import (
    CLASSIFIERS,
    DECODERS,
    ENCODERS,
    LABEL_NAMES,
    MASK_NAMES,
    NAMES,
    _timm_names,
    backbone_fault,
    encoder_fault,
)


def test_classifiers_are_torchvisions() -> None:
    assert sorted(CLASSIFIERS) == list_models(module=torchvision.models)


def test_no_name_stands_for_two() -> None:
    assert len(set(NAMES)) == len(NAMES) == len(MASK_NAMES) + len(LABEL_NAMES)
    assert ("unet", *DECODERS) == MASK_NAMES
    assert LABEL_NAMES[0] == "small_cnn"


def test_the_names_in_timms_source_are_timms() -> None:
    tags, old_names = _timm_names()
    assert sorted(tags) == sorted(timm.list_models())
    assert [name for name in timm.list_pretrained() if backbone_fault(name)] == []
    current = get_deprecated_models()
    assert {old: new for old, new in old_names.items() if current[old] != new} == {}
    assert len(old_names) >= 200


@pytest.mark.parametrize(
    ("backbone", "fault"),
    [
        ("convnext_tinny", "timm has no network 'convnext_tinny'; did you mean 'convnext_tiny' or"),
        ("zzzz", "timm has no network 'zzzz'; `darkroom networks` lists them"),
        ("resnet18.a4_in1k", "timm has no weights 'a4_in1k' of resnet18; there are resnet18.a1_in"),
        ("convnext_tiny_in22ft1k", "timm calls 'convnext_tiny_in22ft1k' 'convnext_tiny.fb_in22k_f"),
    ],
)
def test_a_name_that_is_not_timms_tells_what_is(backbone: str, fault: str) -> None:
    assert str(backbone_fault(backbone)).startswith(fault)


def test_encoders_are_those_of_the_package() -> None:
    assert sorted(ENCODERS) == sorted(encoders)


@pytest.mark.parametrize(
    ("encoder", "fault"),
    [
        ("resnet3", "there is no encoder 'resnet3'; did you mean 'resnet34' or "),
        (
            "efficientnet_b0",
            "there is no encoder 'efficientnet_b0'; did you mean 'efficientnet-b0'",
        ),
        ("convnext_nano", "there is no encoder 'convnext_nano'; did you mean 'tu-convnext_nano'?"),
        ("nope", "there is no encoder 'nope'; did you mean 'resnet34' or 'mit_b0' or 'tu-convn"),
        ("tu-convnext_tin", "timm has no network 'convnext_tin'; did you mean 'convnext_tiny'"),
        ("tu-resnet18.nonesuch", "timm has no weights 'nonesuch' of resnet18; there are "),
    ],
)
def test_an_encoder_that_does_not_exist_tells_the_nearest(encoder: str, fault: str) -> None:
    assert str(encoder_fault(encoder)).startswith(fault)
    assert encoder_fault("tu-convnext_nano") is encoder_fault("mit_b0") is None


@pytest.mark.slow
def test_reading_them_imports_no_library_of_networks() -> None:
    code = (
        "import sys; from darkroom.models.build import build_network;"
        "build_network('unet', outputs=1, seed=1, width=2, depth=1);"
        "build_network('small_cnn', outputs=1, seed=1, width=2, depth=1);"
        "from darkroom.params.networks import backbone_fault;"
        "assert backbone_fault('resnet18') is None and backbone_fault('resnet17');"
        "print([n for n in ('segmentation_models_pytorch', 'timm', 'torchvision')"
        " if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_of_timms_cannot_be_checked_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("darkroom.params.networks.find_spec", lambda _: None)
    _timm_names.cache_clear()
    with pytest.raises(ResourceError, match=r"pip install .*timm"):
        backbone_fault("resnet10t")
