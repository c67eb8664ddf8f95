"""The names of the networks; reading them imports no library of networks.

Classifiers of torchvision and encoders of segmentation_models_pytorch are written out, so that
params.yaml can be checked without the seconds that these take to import; tests hold the lists.
timm's 1,400 names are read from its source, which takes a fiftieth of its import.
"""

import re
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from darkroom.project.files import matching_files
from darkroom.project.packages import missing_module_error

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
# What segmentation_models_pytorch has under names of its own.
ENCODERS = (
    "densenet121", "densenet161", "densenet169", "densenet201",
    "dpn68", "dpn68b", "dpn92", "dpn98", "dpn107", "dpn131",
    "efficientnet-b0", "efficientnet-b1", "efficientnet-b2", "efficientnet-b3",
    "efficientnet-b4", "efficientnet-b5", "efficientnet-b6", "efficientnet-b7",
    "inceptionresnetv2", "inceptionv4",
    "mit_b0", "mit_b1", "mit_b2", "mit_b3", "mit_b4", "mit_b5", "mobilenet_v2",
    "mobileone_s0", "mobileone_s1", "mobileone_s2", "mobileone_s3", "mobileone_s4",
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d", "resnext101_32x16d",
    "resnext101_32x32d", "resnext101_32x48d",
    "se_resnet50", "se_resnet101", "se_resnet152", "se_resnext50_32x4d", "se_resnext101_32x4d",
    "senet154",
    "timm-efficientnet-b0", "timm-efficientnet-b1", "timm-efficientnet-b2",
    "timm-efficientnet-b3", "timm-efficientnet-b4", "timm-efficientnet-b5",
    "timm-efficientnet-b6", "timm-efficientnet-b7", "timm-efficientnet-b8",
    "timm-efficientnet-l2",
    "timm-skresnet18", "timm-skresnet34", "timm-skresnext50_32x4d",
    "timm-tf_efficientnet_lite0", "timm-tf_efficientnet_lite1", "timm-tf_efficientnet_lite2",
    "timm-tf_efficientnet_lite3", "timm-tf_efficientnet_lite4",
    "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
    "xception",
)
# fmt: on
TIMM = "tu-"  # before it stands timm's name of an encoder

PoolName = Literal["avg", "max", "avgmax", "catavgmax", "token", "map"]

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


def encoder_fault(encoder: str) -> str | None:
    """Return what is wrong with an encoder's name, and what to write; None: nothing.

    No library of networks is imported.

    Args:
        encoder: A name of `ENCODERS`, or `tu-` and one of timm's: `tu-convnext_tiny`.

    Example:
        >>> encoder_fault("resnet43")
        "there is no encoder 'resnet43'; did you mean 'resnet34' or 'resnet50' or 'resnet18'?"
    """
    if encoder.startswith(TIMM):
        fault = backbone_fault(encoder.removeprefix(TIMM))
        return f"{fault} (and {TIMM} before it)" if fault else None
    if encoder in ENCODERS:
        return None
    near = get_close_matches(encoder, ENCODERS, n=3)
    if backbone_fault(encoder) is None:
        near.append(f"{TIMM}{encoder}")
    names = " or ".join(map(repr, near or ("resnet34", "mit_b0", "tu-convnext_tiny")))
    return f"there is no encoder {encoder!r}; did you mean {names}?"


@cache
def _timm_names() -> tuple[dict[str, set[str]], dict[str, str]]:
    """Return the tags of each network, and the present names of old ones."""
    spec = find_spec("timm")
    if spec is None or spec.origin is None:
        raise missing_module_error("timm") or ModuleNotFoundError(name="timm")
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
