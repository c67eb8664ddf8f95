"""Read weights from a file of any origin: `.safetensors`, or what `torch.save` wrote."""

import errno
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from darkroom.errors import ArtifactError
from darkroom.models.weights.pickled import DTYPES, UnreadableError, read_pickled

Weights = dict[str, Tensor]
"""Tensors by name, on the CPU."""

_LONGEST = 200  # characters of a library's message


def read_weights(file: Path) -> Weights:
    """Return the tensors of a file by name, on the CPU; nothing in the file is executed.

    Args:
        file: `.safetensors`; or what `torch.save` wrote. Tensors under a key `state_dict` or
            `model` are found; anything else is ignored. A folder stands for the
            `model.safetensors` in it: the result of another run.

    Raises:
        ArtifactError: The file is absent, damaged, or holds more than weights.
    """
    file = file / "model.safetensors" if file.is_dir() else file
    if not file.is_file():
        raise ArtifactError("there are no weights here", file=file)
    content = _read(file)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise ArtifactError("not a table of weights", file=file, found=type(content).__name__)
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ArtifactError(
            "there are no weights in this file",
            file=file,
            found=", ".join(map(str, list(content)[:8]))[:_LONGEST] or "nothing",
            expected="tensors by name, or such a table under state_dict or model",
        )
    odd = [name for name, tensor in tensors.items() if tensor.dtype not in DTYPES.values()]
    if odd:
        raise ArtifactError(
            "these weights are of another kind of number",
            file=file,
            found=f"{odd[0]}: {tensors[odd[0]].dtype}"[:_LONGEST],
            expected="real numbers of 16 bits or more, or whole ones",
        )
    return tensors


def _read(file: Path) -> object:
    try:
        return dict(load_file(file)) if file.suffix == ".safetensors" else read_pickled(file)
    except Exception as error:  # whatever damage makes a reader raise, MemoryError too
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # of the disk, which the command line reports
        is_ours = isinstance(error, UnreadableError)
        words = str(error).strip() if is_ours or str(error).isprintable() else ""
        kind = "" if is_ours else "damage: "
        raise ArtifactError(
            "these weights cannot be read",
            file=file,
            found=f"{kind}{words or type(error).__name__}".splitlines()[0][:_LONGEST],
            expected=".safetensors, or a .pth file that holds tensors only",
        ) from error
