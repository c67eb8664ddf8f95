"""ResNets of He et al. 2016 (arXiv 1512.03385), torchvision's own, with a new head.

Weights are `imagenet`, which torchvision publishes, a file, the folder of another run, or
none. With `freeze="backbone"` only the head learns.
"""

from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlparse

from torch import hub
from torchvision.models import get_model_weights
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.resnet import ResNet as TorchvisionResNet

from darkroom.errors import ParamsError, ResourceError
from darkroom.models.weights import put_body, read_weights

HEAD = "fc"
LAYERS = {
    "resnet18": (BasicBlock, [2, 2, 2, 2]),
    "resnet34": (BasicBlock, [3, 4, 6, 3]),
    "resnet50": (Bottleneck, [3, 4, 6, 3]),
    "resnet101": (Bottleneck, [3, 4, 23, 3]),
    "resnet152": (Bottleneck, [3, 8, 36, 3]),
}


class ResNet(TorchvisionResNet):  # type: ignore[misc]  # torchvision has no types
    """A ResNet for images (N, 3, H, W) and logits (N, outputs), perhaps with a frozen backbone.

    A frozen backbone takes no gradient and stays in eval mode even in training: otherwise
    batch norm would go on moving its averages towards the new images, and what was frozen
    would drift.
    """

    def __init__(self, block: type[Any], layers: list[int], outputs: int, *, frozen: bool) -> None:
        super().__init__(block, layers, num_classes=outputs)
        self.frozen = frozen
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(not frozen or name.startswith(f"{HEAD}."))
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Set training or eval mode, where what is frozen stays in eval mode."""
        super().train(mode)
        if getattr(self, "frozen", False):
            for name, child in self.named_children():
                child.train(mode and name == HEAD)
        return self


def resnet(
    name: str,
    *,
    outputs: int,
    weights: str | None = None,
    freeze: Literal["none", "backbone"] = "none",
) -> ResNet:
    """Return a ResNet.

    Args:
        name: One of `LAYERS`.
        outputs: Logits.
        weights: None, "imagenet", a file, or the folder of another run.
        freeze: "backbone" lets only the head learn.

    Raises:
        ParamsError: Another value of `freeze`.
        ResourceError: ImageNet's weights could not be downloaded.
        ArtifactError: The file does not fit.
    """
    if freeze not in ("none", "backbone"):
        raise ParamsError("freeze is not known", found=freeze, expected="none, backbone")
    block, layers = LAYERS[name]
    net = ResNet(block, layers, outputs, frozen=freeze == "backbone")
    if weights:
        file = imagenet_file(name) if weights == "imagenet" else Path(weights)
        put_body(net, read_weights(file), head=HEAD, file=file)
    return net


def imagenet_file(name: str) -> Path:
    """Return the file with torchvision's ImageNet weights, downloaded if it is not there yet.

    Raises:
        ResourceError: It cannot be had; says which file to put where.
    """
    url: str = get_model_weights(name).DEFAULT.url
    file = Path(hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if file.is_file():
        return file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Their names end in the first digits of the sha256, so what comes is checked by it.
        hub.download_url_to_file(url, str(file), hash_prefix=file.stem.rpartition("-")[2])
    except (OSError, RuntimeError) as error:
        raise ResourceError(
            f"the ImageNet weights of {name} could not be downloaded",
            found=str(error),
            expected=f"{file.name} in {file.parent}",
            fix=f"get {url} elsewhere and put it there, or train with no ready-made weights",
        ) from error
    return file
