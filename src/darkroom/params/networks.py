"""The names of the networks; reading them imports no library of networks.

What torchvision calls a classifier is written out, so that params.yaml can be checked without
the second that torchvision takes to import; a test holds the list against torchvision's own.
timm's 1,400 names are read from its source, which takes a fiftieth of its import.
"""

import re
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from darkroom.project.files import matching_files

# fmt: off
ClassifierName = Literal[
    "alexnet",
    "convnext_tiny", "convnext_small", "convnext_base", "convnext_large",
    "densenet121", "densenet161", "densenet169", "densenet201",
    "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
    "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7",
    "efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l",
    "googlenet", "inception_v3", "maxvit_t",
    "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3",
    "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    "regnet_x_400mf", "regnet_x_800mf", "regnet_x_1_6gf", "regnet_x_3_2gf",
    "regnet_x_8gf", "regnet_x_16gf", "regnet_x_32gf",
    "regnet_y_400mf", "regnet_y_800mf", "regnet_y_1_6gf", "regnet_y_3_2gf",
    "regnet_y_8gf", "regnet_y_16gf", "regnet_y_32gf", "regnet_y_128gf",
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d",
    "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0",
    "squeezenet1_0", "squeezenet1_1",
    "swin_t", "swin_s", "swin_b", "swin_v2_t", "swin_v2_s", "swin_v2_b",
    "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    "vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14",
    "wide_resnet50_2", "wide_resnet101_2",
]
# fmt: on

# A decoder of segmentation_models_pytorch over any of its encoders, by its name there.
DECODERS: dict[str, str] = {
    "encoder_unet": "Unet",
    "unetplusplus": "UnetPlusPlus",
    "fpn": "FPN",
    "deeplabv3plus": "DeepLabV3Plus",
    "segformer": "Segformer",
}
CLASSIFIERS: tuple[str, ...] = get_args(ClassifierName)
MASK_NAMES = ("unet", *DECODERS)
LABEL_NAMES = ("small_cnn", "timm", *CLASSIFIERS)
NAMES = (*MASK_NAMES, *LABEL_NAMES)

# In timm's source: a network, a set of published weights of one, the present name of an old one.
_NETWORK = re.compile(r"^@register_model\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)
_TAGGED = re.compile(r"""^\s+['"](\w+)\.(\w+)\*?['"]\s*:""", re.MULTILINE)
_OLD_NAMES = re.compile(r"^register_model_deprecations\(\w+, \{(.*?)^\}", re.MULTILINE | re.DOTALL)
_OLD_NAME = re.compile(r"""['"](\w+)['"]:\s*['"]([\w.]+)['"]""")


def backbone_fault(backbone: str) -> str | None:
    """Return what is wrong with the name of a network of timm, and what to write; None: nothing.

    timm is not imported. The tags of a few networks are not in its source as they stand; a wrong
    one of these is found when the network is built.

    Args:
        backbone: Such as `convnext_tiny`, or `convnext_tiny.in12k_ft_in1k` with the tag of
            published weights.

    Example:
        >>> backbone_fault("tf_efficientnet_b0_ap")
        "timm calls 'tf_efficientnet_b0_ap' 'tf_efficientnet_b0.ap_in1k' now; write that"
    """
    tags, old_names = _timm_names()
    network, _, tag = backbone.partition(".")
    if network not in tags:
        if backbone in old_names:
            return f"timm calls {backbone!r} {old_names[backbone]!r} now; write that"
        near = get_close_matches(network, sorted(tags), n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        return f"timm has no network {network!r}{hint or '; `darkroom networks` lists them'}"
    if tag and tags[network] and tag not in tags[network]:
        names = ", ".join(f"{network}.{each}" for each in sorted(tags[network] - {"untrained"}))
        return f"timm has no weights {tag!r} of {network}; there are {names}"
    return None


@cache
def _timm_names() -> tuple[dict[str, set[str]], dict[str, str]]:
    """Return the tags of each network, and the present names of old ones."""
    spec = find_spec("timm")
    assert spec is not None
    assert spec.origin is not None
    tags: dict[str, set[str]] = {}
    tagged: list[tuple[str, str]] = []
    old_names: dict[str, str] = {}
    for file in matching_files(Path(spec.origin).with_name("models"), "*.py"):
        source = file.read_text(encoding="utf-8")
        tags |= {name: set() for name in _NETWORK.findall(source)}
        tagged += _TAGGED.findall(source)
        for names in _OLD_NAMES.findall(source):
            old_names |= dict(_OLD_NAME.findall(names))
    for network, tag in tagged:
        if network in tags:
            tags[network].add(tag)
    return tags, old_names
