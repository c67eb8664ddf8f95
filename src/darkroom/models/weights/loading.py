"""Copy weights into a network; name what does not fit."""

import re
import sys
from pathlib import Path

from torch import nn

from darkroom.errors import ArtifactError
from darkroom.models.layer_groups import head_modules, is_under, last_layers
from darkroom.models.masks.supervision import SIDE_HEADS
from darkroom.models.weights.first_layer import first_convolution
from darkroom.models.weights.reading import Weights, read_weights

# torchvision's published files use older names of its layers.
RENAMED = (
    (r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2"),  # densenet
    (r"(\.mlp)\.linear_1\.", r"\1.0."),  # vit
    (r"(\.mlp)\.linear_2\.", r"\1.3."),
)
# The side heads of googlenet, of inception_v3, and of deep supervision.
AUXILIARY = ("aux1", "aux2", "AuxLogits", SIDE_HEADS)


def put_weights(net: nn.Module, weights: Weights, *, file: Path) -> None:
    """Copy weights into a network of exactly the same names and shapes.

    Counters of batches seen may be absent, as in files of old PyTorch versions.

    Raises:
        ArtifactError: Naming what is absent, of another shape, or too much; or they are for images
            of other channels.
    """
    own = net.state_dict()
    _check_channels(net, weights, file)
    faults = [
        f"{name}: absent, should be {tuple(tensor.shape)}"
        if name not in weights
        else f"{name}: {tuple(weights[name].shape)}, should be {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if (name not in weights and not name.endswith("num_batches_tracked"))
        or (name in weights and weights[name].shape != tensor.shape)
    ]
    faults += [f"{name}: unknown to the network" for name in sorted(set(weights) - set(own))]
    if faults:
        raise ArtifactError(
            "these weights are another network's",
            file=file,
            found=f"{len(faults)} names or shapes that do not fit",
            expected=f"the {len(own)} tensors of a {type(net).__name__} with these arguments",
            details=faults[:5] + ([f"… and {len(faults) - 5} more"] if len(faults) > 5 else []),
        )
    # Into the network's own table, which says of what version its layers are.
    own.update(weights)
    net.load_state_dict(own)


def _check_channels(net: nn.Module, weights: Weights, file: Path) -> None:
    """Refuse weights whose first layer differs in nothing but the channels of its images."""
    if not any(isinstance(module, nn.Conv2d) for module in net.modules()):
        return  # some transformers cut pictures into patches by a linear layer
    name, layer = first_convolution(net)
    ours, theirs = layer.weight, weights.get(f"{name}.weight")
    if theirs is None or theirs.ndim != ours.ndim or theirs.shape[1] == ours.shape[1]:
        return
    if (theirs.shape[0], *theirs.shape[2:]) == (ours.shape[0], *ours.shape[2:]):
        raise ArtifactError(
            "these weights are of a network for images of other channels",
            file=file,
            found=f"{theirs.shape[1]} channels",
            expected=f"{ours.shape[1]}",
            fix="take weights that were learned on images of as many channels, or null",
        )


def put_body(net: nn.Module, weights: Weights, *, file: Path) -> None:
    """Copy weights into a network, but leave its last layer where theirs has another shape.

    Its outputs are the targets of one data set. The heads of deep supervision likewise, which the
    other network may also lack.

    Raises:
        ArtifactError: Any other layer does not fit.
    """
    # A last layer goes with what turns its outputs into values.
    last = tuple(f"{name}." for name in last_layers(net))
    for heads in ((*last, "values."), (f"{SIDE_HEADS}.",)):
        own = {name: tensor for name, tensor in net.state_dict().items() if name.startswith(heads)}
        theirs = {name: tensor for name, tensor in weights.items() if name.startswith(heads)}
        if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in theirs.items()}:
            weights = {name: t for name, t in weights.items() if name not in theirs} | own
    put_weights(net, weights, file=file)


def put_encoder(net: nn.Module, weights: Weights, *, file: Path) -> None:
    """Copy a classifier's weights into the encoder of a network; the decoder stays as it is.

    What the classifier has beyond the modules that the encoder knows is its head, and left.

    Raises:
        ArtifactError: A layer of the encoder does not fit.
    """
    own = net.state_dict()
    tops = {name.split(".")[1] for name in own if name.startswith("encoder.")}
    mine = {f"encoder.{name}": t for name, t in weights.items() if name.split(".")[0] in tops}
    decoder = {name: tensor for name, tensor in own.items() if not name.startswith("encoder.")}
    put_weights(net, mine | decoder, file=file)


def load_pretrained(net: nn.Module, file: Path) -> None:
    """Copy weights from a file, or from the folder of another run, into a network.

    The same kind of network gives all layers but a last one of another shape. A classifier gives
    its layers to an encoder of the same family.

    Raises:
        ArtifactError: The file is absent or damaged, or its layers are not this network's.
    """
    weights = with_current_names(net, read_weights(file))
    ours = {name for name, _ in net.named_children()}
    theirs = {name.split(".")[0] for name in weights}
    if "segmentation_head" in ours and "encoder" not in theirs:
        put_encoder(net, weights, file=file)
    else:
        put_body(net, refitted(net, weights), file=file)


def refitted(net: nn.Module, weights: Weights) -> Weights:
    """Return weights by the names and in the shapes of a network of timm, as far as timm can.

    Position embeddings of another image size are interpolated, and files of a network's authors
    get timm's names. Weights that fit stay as they are, and so do those of other networks.
    """
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    head = head_modules(net)
    body = {name: t.shape for name, t in net.state_dict().items() if not is_under(name, head)}
    fits = all(name in weights and weights[name].shape == shape for name, shape in body.items())
    if convert is None or fits:
        return weights
    try:
        return dict(convert(dict(weights), net))
    except (RuntimeError, ValueError, TypeError, AssertionError, LookupError, AttributeError):
        return weights  # of another network: copying them says what does not fit


def with_current_names(net: nn.Module, weights: Weights) -> Weights:
    """Return weights by their current names, without side heads that the network lacks."""
    children = {name for name, _ in net.named_children()}
    renamed = {_current_name(name): tensor for name, tensor in weights.items()}
    lacking = set(AUXILIARY) - children
    return {name: t for name, t in renamed.items() if name.split(".")[0] not in lacking}


def _current_name(name: str) -> str:
    for pattern, new in RENAMED:
        name = re.sub(pattern, new, name)
    return name
