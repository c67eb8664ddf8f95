"""transfer: the weights of another run or a file -> the first weights of a fold."""

import hashlib
import os
from pathlib import Path

import torch
from safetensors.torch import save as to_bytes

from darkroom.errors import ArtifactError, ParamsError
from darkroom.models import learned, saved
from darkroom.models.weights.reading import read_weights
from darkroom.project import files
from darkroom.project.checked_json import write_json
from darkroom.project.names import list_names, summarise_names
from darkroom.project.paths import PARAMS, Fold
from darkroom.stages import _leaks
from darkroom.stages._context import Context


def run(context: Context, fold: Fold = 0) -> None:
    """Copy a fold's first weights from the source that `transfers` names."""
    name = context.name
    if context.transfer is None:
        raise ParamsError(
            f"transfers has no entry for {name}",
            file=PARAMS,
            fix=f"add it to transfers: [{{to: {name}, from: models/...}}], or a file",
        )
    source = _of_fold(_existing(context.transfer.source), fold)
    if (source / saved.INFO).is_file():
        saved.load_model(source)  # the files of a run must belong together
    weights = read_weights(source)
    images = learned.read_codes(source / saved.WEIGHTS if source.is_dir() else source)
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
    data = to_bytes(tensors, metadata=learned.to_metadata(images))
    note = {
        "source": str(source),
        "leakage": context.transfer.leakage,
        _leaks.WEIGHTS: hashlib.sha256(data).hexdigest(),
    }
    with files.atomic_folder(context.paths.first_weights(fold)) as folder:
        files.write(folder / _leaks.WEIGHTS, data)
        write_json(folder / _leaks.NOTE, note)
    print(f"{name}, fold {fold}: {len(tensors)} tensors from {source}")


def _of_fold(source: Path, fold: Fold) -> Path:
    """Return the model of a fold, if the source is a competition's models; else the source."""
    if not source.is_dir() or (source / saved.WEIGHTS).exists():
        return source
    model = source / f"fold{fold}"
    if not model.is_dir():
        raise ParamsError(
            f"transfers: there is no model of fold {fold}",
            file=PARAMS,
            found=f"in {source}: {summarise_names(list_names(source))}",
            expected="the folder of a model, or one with a model for each fold: fold0, fold1, …",
        )
    return model


def _existing(source: str) -> Path:
    """Return the file or folder that `transfers` names."""
    path = Path(os.path.expanduser(source))  # noqa: PTH111  (Path's raises for unknown users)
    if not path.exists():
        raise ParamsError("transfers: there is no such file or folder", file=PARAMS, found=path)
    return path
