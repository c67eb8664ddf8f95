"""A trained network on disk: model.safetensors beside model.json, and nothing pickled.

model.json holds all that is needed to use the weights: under `model` the arguments of
`darkroom.models.build.build_network`, and what the caller adds (task, classes, height, width, fit,
mean, std, metrics, fingerprint). `weights` is the sha256 of the other file: files that do not
belong together are refused.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.torch import save as to_bytes
from torch import nn

from darkroom.errors import ArtifactError, ParamsError
from darkroom.models.build import build_network
from darkroom.models.weights.loading import put_weights
from darkroom.models.weights.reading import read_weights
from darkroom.project import files

VERSION = 1
WEIGHTS = "model.safetensors"
INFO = "model.json"
# Arguments that describe the training alone: where weights came from and how they learnt.
_TRAINING_ONLY = ("weights", "freeze", "seed")


def save_model(folder: Path, net: nn.Module, info: dict[str, Any]) -> None:
    """Write a network's weights and its description; replaces the folder atomically.

    The bytes are a function of the weights and the info.

    Args:
        folder: Its parents are created.
        net: On any device; it is stored as on the CPU.
        info: JSON values. `info["model"]` holds `name`, `outputs` and the other arguments
            that `build_network` was given (weights, freeze and seed may be among them).
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in net.state_dict().items()}
    data = to_bytes(tensors)
    description = {"version": VERSION, "weights": hashlib.sha256(data).hexdigest()} | info
    text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False)
    with files.atomic_folder(folder) as part:
        files.write(part / WEIGHTS, data)
        files.write(part / INFO, text + "\n")


def load_model(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network, in eval mode on the CPU, and the info that `save_model` was given.

    Raises:
        ArtifactError: A file is absent or damaged, the two do not belong together, or the
            weights are not those of the network that model.json describes.
    """
    info = _read_info(folder / INFO)
    file = folder / WEIGHTS
    if not file.is_file():
        raise ArtifactError("there are no weights here", file=file, fix="train again")
    weights = read_weights(file)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != info["weights"]:
        raise ArtifactError(
            "these weights are not the ones that model.json was written with",
            file=file,
            found=f"sha256 {digest}",
            expected=f"sha256 {info['weights']}",
            fix="train again",
        )
    arguments = {key: value for key, value in info["model"].items() if key not in _TRAINING_ONLY}
    try:
        net = build_network(**arguments, seed=0)
    except (ParamsError, TypeError) as error:
        raise ArtifactError(
            "no network can be built from its arguments", file=folder / INFO, found=error
        ) from error
    put_weights(net, weights, file=file)
    return net.eval(), info


def _read_info(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ArtifactError("there is no model here", file=file, fix="train first")
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtifactError(
            "this is not JSON", file=file, found=error, fix="train again"
        ) from error
    info = info if isinstance(info, dict) else {}
    absent = [key for key in ("version", "weights", "model") if key not in info]
    if absent or not isinstance(info["model"], dict) or info["version"] != VERSION:
        raise ArtifactError(
            "this does not describe a model of this version of Darkroom",
            file=file,
            found=f"no {', '.join(absent)}" if absent else f"version {info['version']}",
            expected=f"version {VERSION}, with keys model and weights",
            fix="train again",
        )
    return dict(info)
