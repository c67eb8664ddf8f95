"""Weights from a file into a network, and a plain word where they do not fit."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from darkroom.errors import ArtifactError

Weights = dict[str, Tensor]


def read_weights(file: Path) -> Weights:
    """Return the tensors of a file by name, on the CPU; nothing in the file is executed.

    Args:
        file: `.safetensors`; or what `torch.save` wrote, read with `weights_only`. Tensors
            under a key `state_dict` or `model` are found; anything else is left aside. A
            folder stands for the `model.safetensors` in it: the result of another run.

    Raises:
        ArtifactError: The file is absent, damaged, or holds more than weights.
    """
    file = file / "model.safetensors" if file.is_dir() else file
    if not file.is_file():
        raise ArtifactError("there are no weights here", file=file)
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise ArtifactError(
            "these weights cannot be read",
            file=file,
            found=str(error).splitlines()[0],
            expected=".safetensors, or a .pth file that holds tensors only",
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ArtifactError("this is no table of weights", file=file, found=type(content).__name__)
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def put_weights(net: nn.Module, weights: Weights, *, file: Path) -> None:
    """Copy weights into a network of exactly the same names and shapes.

    Counters of batches seen may be absent, as in files of old PyTorch versions.

    Raises:
        ArtifactError: Naming what is absent, of another shape, or too much.
    """
    own = net.state_dict()
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
            found=f"{len(faults)} of {len(own)} tensors do not fit",
            expected=type(net).__name__,
            details=faults[:5] + ([f"… and {len(faults) - 5} more"] if len(faults) > 5 else []),
        )
    net.load_state_dict(own | weights)


def put_body(net: nn.Module, weights: Weights, *, head: str, file: Path) -> None:
    """Copy weights into a network, but leave its head as it is where theirs has another shape.

    Args:
        head: The name of the last layer, whose outputs are the targets of one data set.

    Raises:
        ArtifactError: Any other layer does not fit.
    """
    own = {name: tensor for name, tensor in net.state_dict().items() if name.startswith(f"{head}.")}
    if any(name not in weights or weights[name].shape != own[name].shape for name in own):
        weights = {name: t for name, t in weights.items() if not name.startswith(f"{head}.")} | own
    put_weights(net, weights, file=file)
