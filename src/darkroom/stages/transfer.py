"""transfer: the weights of another run or a file -> the first weights of a competition."""

import os
from pathlib import Path

import torch
from safetensors.torch import save as to_bytes

from darkroom.errors import ArtifactError, ParamsError
from darkroom.models import saved
from darkroom.models.weights.reading import read_weights
from darkroom.project import files
from darkroom.project.paths import PARAMS
from darkroom.stages._context import Context


def run(context: Context) -> None:
    """Copy a competition's first weights from the source that `transfers` names."""
    name = context.name
    if context.transfer is None:
        raise ParamsError(
            f"transfers has no entry for {name}",
            file=PARAMS,
            fix=f"add it to transfers: [{{to: {name}, from: models/.../fold0}}], or a file",
        )
    source = _existing(context.transfer)
    if (source / saved.INFO).is_file():
        saved.load_model(source)  # the two files of a run must belong together
    weights = read_weights(source)
    # Copies: a .pth file may hold one tensor under two names, which safetensors refuses.
    tensors = {
        key: weights[key].detach().clone(memory_format=torch.contiguous_format)
        for key in sorted(weights)
    }
    not_finite = [key for key, value in tensors.items() if not torch.isfinite(value).all()]
    if not_finite:
        raise ArtifactError(
            "some of these weights are infinite or not a number",
            file=source,
            found=f"{len(not_finite)} of {len(tensors)} tensors, such as {not_finite[0]}",
            fix="use the weights of a training that succeeded",
        )
    files.write(context.paths.first_weights, to_bytes(tensors))
    print(f"{name}: {len(tensors)} tensors from {source}")


def _existing(source: str) -> Path:
    """Return the file or folder that `transfers` names."""
    path = Path(os.path.expanduser(source))  # noqa: PTH111  (Path's raises for unknown users)
    if not path.exists():
        raise ParamsError("transfers: there is no such file or folder", file=PARAMS, found=path)
    return path
