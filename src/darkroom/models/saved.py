"""A trained network on disk: model.safetensors beside model.json, and nothing pickled.

model.json holds all that is needed to use the weights: under `model` the arguments of
`darkroom.models.build.build_network`, and what the caller adds (task, classes, height, width, fit,
channels, mean, std, metrics, fingerprint). `weights` is the sha256 of the other file, `checksum`
that of the description itself: what was changed, or does not belong together, is refused.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

from safetensors.torch import save as to_bytes
from torch import nn

from darkroom.errors import ArtifactError, ParamsError
from darkroom.images.geometry import FITS
from darkroom.models import learned
from darkroom.models.build import build_network
from darkroom.models.device import AMP_DTYPES
from darkroom.models.learned import Codes
from darkroom.models.weights.loading import put_weights
from darkroom.models.weights.reading import read_weights
from darkroom.params.section import TaskName
from darkroom.project import files
from darkroom.project.checked_json import read_json, write_json
from darkroom.project.files import file_sha256
from darkroom.project.paths import ALL

VERSION = 1
WEIGHTS = "model.safetensors"
INFO = "model.json"
# Arguments that describe the training alone: where weights came from and how they learnt.
_TRAINING_ONLY = ("weights", "freeze", "seed")


def save_model(
    folder: Path, net: nn.Module, info: dict[str, Any], images: Codes | None = None
) -> None:
    """Write a network's weights and its description; replaces the folder atomically.

    The bytes are a function of the weights and the info.

    Args:
        folder: Its parents are created.
        net: On any device; it is stored as on the CPU.
        info: JSON values. `info["model"]` holds `name`, `outputs` and the other arguments
            that `build_network` was given (weights, freeze and seed may be among them).
        images: The codes of all images that the weights learned from, in whatever training.

    Raises:
        ValueError: A value is not what `load_model` would accept.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in net.state_dict().items()}
    codes = learned.image_codes([]) if images is None else images
    data = to_bytes(tensors, metadata=learned.to_metadata(codes))
    description = {"version": VERSION, "weights": hashlib.sha256(data).hexdigest()} | info
    if faults := _faults(description):
        raise ValueError(f"{folder / INFO}: {', '.join(faults)}")
    with files.atomic_folder(folder) as part:
        files.write(part / WEIGHTS, data)
        write_json(part / INFO, description)


def load_model(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Return the network, in eval mode on the CPU, and the info that `save_model` was given.

    Raises:
        ArtifactError: A file is absent or damaged, the two do not belong together, or the
            weights are not those of the network that model.json describes.
    """
    info = _read_info(folder)
    file = folder / WEIGHTS
    weights = read_weights(file)
    arguments = {key: value for key, value in info["model"].items() if key not in _TRAINING_ONLY}
    try:
        net = build_network(**arguments, seed=0)
    except (ParamsError, TypeError) as error:
        raise ArtifactError(
            "no network can be built from its arguments", file=folder / INFO, found=error
        ) from error
    put_weights(net, weights, file=file)
    return net.eval(), info


def read_images(folder: Path) -> tuple[Codes, str]:
    """Return the codes of the images that a model learned from, and its `leakage`.

    Raises:
        ArtifactError: The model is absent or damaged.
    """
    info = _read_info(folder)
    return learned.read_codes(folder / WEIGHTS), str(info.get("leakage", "refuse"))


def _read_info(folder: Path) -> dict[str, Any]:
    """Return the content of model.json, which must belong to the weights beside it."""
    file, weights = folder / INFO, folder / WEIGHTS
    info = read_json(file, absent="there is no model here", fix="train again")
    if faults := _faults(info):
        raise ArtifactError(
            "this does not describe a model of this version of Darkroom",
            file=file,
            found=", ".join(faults),
            fix="train again",
        )
    if not weights.is_file():
        raise ArtifactError("there are no weights here", file=weights, fix="train again")
    digest = file_sha256(weights)
    if digest != info["weights"]:
        raise ArtifactError(
            "these weights are not the ones that model.json was written with",
            file=weights,
            found=f"sha256 {digest}",
            expected=f"sha256 {info['weights']}",
            fix="train again",
        )
    return info


def _faults(info: Mapping[str, Any]) -> list[str]:
    """Return what in a description is absent or not of its kind: `mean: [0, 0]`."""
    faults = [f"no {key}" for key in ("version", "weights", "model") if key not in info]
    for key, holds in _KINDS.items():
        if key in info and not holds(info[key]):
            faults.append(f"{key}: {json.dumps(info[key], default=str)}")
    for key in ("mean", "std"):
        if not faults and len(info.get(key, ())) not in (0, info.get("channels", 3)):
            faults.append(f"{key}: {json.dumps(info[key])}")
    return faults


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


def _are_numbers(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(map(_is_number, value))


def _is_how_stored(value: object) -> bool:
    if not isinstance(value, dict) or value.keys() != {"store", "quality", "levels"}:
        return False
    levels = value["levels"]
    is_pair = _are_numbers(levels) and len(levels) == 2
    is_store = value["store"] in ("raw", "jpeg")
    return is_store and _is_count(value["quality"]) and (levels in (None, "auto") or is_pair)


# What the values of model.json must be, if they are there; `save_model` holds them too.
_KINDS: dict[str, Callable[[Any], bool]] = {
    "version": lambda value: value == VERSION,
    "weights": _is_digest,
    "model": lambda value: isinstance(value, dict) and isinstance(value.get("name"), str),
    "task": lambda value: value in get_args(TaskName),
    "targets": _are_texts,
    "classes": _are_texts,
    "height": _is_count,
    "width": _is_count,
    "fit": lambda value: value in FITS,
    "channels": _is_count,
    "stored": _is_how_stored,
    "mean": _are_numbers,
    "std": lambda value: _are_numbers(value) and min(value) > 0,
    "params": lambda value: isinstance(value, dict),
    "fold": lambda value: value == ALL or (type(value) is int and value >= 0),
    "leakage": lambda value: value in ("refuse", "allow"),
    "split_sha256": _is_digest,
    "fingerprint": _is_digest,
    "precision": lambda value: isinstance(value, str) and value in AMP_DTYPES,
    "trained_on": lambda value: isinstance(value, str),
    "metrics": lambda value: isinstance(value, dict) and all(map(_is_number, value.values())),
}
