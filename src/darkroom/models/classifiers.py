"""torchvision's classifiers by name, with a new head.

Three differ from torchvision's. googlenet and inception_v3 have no side heads (Szegedy et al.
2014), which work in training only and need a loss of their own; batch norm made them unnecessary.
squeezenet does not end in a ReLU, with which it could never answer no to a yes/no question.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from torch import hub, nn
from torchvision.models import get_model, get_model_weights

from darkroom.errors import ResourceError
from darkroom.images.geometry import RGB
from darkroom.models.build import Normalisation
from darkroom.models.heads import attach_output
from darkroom.models.sizes import Sizes
from darkroom.models.weights.first_layer import adapt_first_layer
from darkroom.models.weights.loading import put_body, with_current_names
from darkroom.models.weights.reading import read_weights

# By the beginning of a name: the least side, px, for which the last feature map is not empty.
LEAST = {
    "alexnet": 63,
    "convnext": 32,
    "densenet": 29,
    "googlenet": 15,
    "inception_v3": 75,
    "squeezenet1_0": 21,
    "squeezenet1_1": 17,
    "vgg": 32,
}
# The side, px, that position embeddings and attention windows are made for.
ONLY = {"maxvit": 224, "vit": 224}
# Inputs are transformed with any weights, not with ImageNet's alone: a saved network must see the
# same inputs when it is loaded.
SIDELESS = {"aux_logits": False, "transform_input": True, "init_weights": True}
EXTRA: dict[str, dict[str, Any]] = {"googlenet": SIDELESS, "inception_v3": SIDELESS}
# The default weights of vit_h_14 are for another image size.
PUBLISHED = {"vit_h_14": "IMAGENET1K_SWAG_LINEAR_V1"}


def classifier(
    name: str,
    *,
    outputs: int,
    in_channels: int = RGB,
    imagenet: bool = False,
    output: str = "linear",
    shift: Sequence[float] | None = None,
    scale: Sequence[float] | None = None,
) -> nn.Module:
    """Return a network for images (N, C, H, W), float32, and logits (N, outputs).

    Args:
        name: One of `darkroom.params.networks.CLASSIFIERS`.
        outputs: Logits.
        in_channels: Of the images, C.
        imagenet: With torchvision's ImageNet weights, but for the head.
        output: As of `darkroom.models.heads.Values`; so are shift and scale.
        shift: For regression.
        scale: For regression.

    Raises:
        ParamsError: As of `Values`; and from the network, for images that it cannot take.
        ResourceError: ImageNet's weights could not be downloaded.
    """
    net: nn.Module = get_model(name, weights=None, num_classes=outputs, **EXTRA.get(name, {}))
    if name.startswith("squeezenet"):
        net.get_submodule("classifier")[2] = nn.Identity()  # type: ignore[operator]
    only = _by_beginning(ONLY, name)
    least = _by_beginning(LEAST, name) or 1
    Sizes(name, least=least, only=(only, only) if only else None).guard(net)
    if imagenet:
        file = imagenet_file(name)
        put_body(net, with_current_names(net, read_weights(file)), file=file)
    if in_channels != RGB and name in EXTRA:
        net.transform_input = False  # type: ignore[assignment]  # it knows red, green and blue
    adapt_first_layer(net, in_channels, pretrained=imagenet)
    attach_output(net, outputs, output=output, shift=shift, scale=scale)
    return net


def classifier_normalisation(name: str, channels: int = RGB) -> Normalisation:
    """Return the mean and the std that torchvision's ImageNet weights were trained with.

    Those of red, green and blue, for images of that many channels.
    """
    if channels != RGB and name in EXTRA:  # what their transform makes of ImageNet's
        return (0.5,) * RGB, (0.5,) * RGB
    transform = published(name).transforms()
    return tuple(transform.mean), tuple(transform.std)


def classifier_notes(name: str, weights: str | None) -> list[str]:
    """Return what should be known of first weights: a licence that is not torchvision's own."""
    licence = published(name).meta.get("license")
    if weights != "imagenet" or licence is None:
        return []
    return [f"the weights of {name} are not free for all use: their licence is {licence}"]


def imagenet_file(name: str) -> Path:
    """Return the file with torchvision's ImageNet weights, downloaded if it is not there yet.

    Raises:
        ResourceError: It cannot be downloaded; names the file and its folder.
    """
    url: str = published(name).url
    file = Path(hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if file.is_file():
        return file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Names end in the first digits of the sha256, by which the download is checked.
        hub.download_url_to_file(url, str(file), hash_prefix=file.stem.rpartition("-")[2])
    except (OSError, RuntimeError) as error:
        raise ResourceError(
            f"the ImageNet weights of {name} could not be downloaded",
            found=str(error),
            expected=f"{file.name} in {file.parent}",
            fix=f"get {url} elsewhere and put it there, or train with no ready-made weights",
        ) from error
    return file


def published(name: str) -> Any:
    """Return torchvision's entry of the ImageNet weights of a classifier: `meta`, `url` ..."""
    return get_model_weights(name)[PUBLISHED.get(name, "DEFAULT")]


def _by_beginning(table: dict[str, int], name: str) -> int | None:
    return next((size for beginning, size in table.items() if name.startswith(beginning)), None)
