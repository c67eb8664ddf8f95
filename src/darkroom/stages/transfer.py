"""transfer: another run's weights, or a file of them -> the first weights of a competition."""

import torch
from safetensors.torch import save as to_bytes

from darkroom.errors import ArtifactError, ParamsError
from darkroom.models import saved
from darkroom.models.weights import read_weights
from darkroom.project import files
from darkroom.project.paths import PARAMS
from darkroom.stages import _context


def run(name: str) -> None:
    """Take a competition's first weights from where `transfers` of params.yaml says."""
    here = _context.read(name)
    given = here.transfer
    if given is None:
        raise ParamsError(
            f"nothing is given to {name}",
            file=PARAMS,
            fix=f"add it to transfers: [{{to: {name}, from: models/.../fold0}}], or a file",
        )
    source = _context.given(given, "transfers")
    if (source / saved.INFO).is_file():
        saved.load(source)  # the two files of a run must belong together
    weights = read_weights(source)
    # Copied: a .pth file may hold one tensor under two names, which safetensors refuses.
    tensors = {
        key: weights[key].detach().clone(memory_format=torch.contiguous_format)
        for key in sorted(weights)
    }
    spoilt = [key for key, value in tensors.items() if not torch.isfinite(value).all()]
    if spoilt:
        raise ArtifactError(
            "some of these weights are infinite or not a number",
            file=source,
            found=f"{len(spoilt)} of {len(tensors)} tensors, such as {spoilt[0]}",
            fix="take weights of a training that ended well",
        )
    files.write(here.paths.first_weights, to_bytes(tensors))
    print(f"{name}: {len(tensors)} tensors from {source}")
