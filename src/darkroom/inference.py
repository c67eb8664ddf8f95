"""Networks to probabilities, a batch at a time."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from darkroom import memory
from darkroom.dataset import Batch
from darkroom.errors import ArtifactError, ParamsError, ResourceError
from darkroom.models import MEAN, STD, normalise
from darkroom.tasks import TASKS

Prediction = tuple[list[str], npt.NDArray[np.float32], npt.NDArray[np.int64]]

_LESS = "lower batch_size of evaluate or predict, or train a smaller model or on smaller pictures"
_SHOWN = 5  # ids in an error


def device_for(accelerator: str) -> torch.device:
    """Return where to compute: "cpu", "cuda", "mps"; "auto" is cuda where there is one.

    Raises:
        ParamsError: Another word.
        ResourceError: This machine has no such device.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.mps.is_available()}
    if accelerator == "auto":
        return torch.device("cuda" if present["cuda"] else "cpu")
    if accelerator not in present:
        raise ParamsError(
            "there is no accelerator of this name",
            found=accelerator,
            expected=f"auto, {', '.join(present)}",
        )
    if not present[accelerator]:
        raise ResourceError(
            f"this machine has no {accelerator} that torch can use",
            expected=f"one of {', '.join(name for name, here in present.items() if here)}",
            fix="accelerator: auto takes what there is",
        )
    return torch.device(accelerator)


def probabilities(
    nets: Sequence[nn.Module],
    loader: Iterable[Batch],
    task: str,
    device: torch.device,
    *,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
) -> Iterator[Prediction]:
    """Yield (ids, probabilities, originals) a batch, averaged over the nets.

    Each batch is read once and shown to all nets; nothing is kept, so memory does not grow
    with the number of images. The nets are moved to the device and set to eval mode.

    Args:
        nets: Folds of one network, say; at least one.
        loader: Of `Batch`; targets are not looked at.
        task: A name of `darkroom.tasks.TASKS`.
        device: From `device_for`.
        mean: Of the normalisation that the nets were trained with.
        std: Likewise.

    Yields:
        Ids; float32 (n, H, W) for masks at the stored size, (n, K) for the others (values
        for regression); heights and widths of the original images, int64 (n, 2).

    Raises:
        ArtifactError: A net's output is infinite or not a number.
        ResourceError: Memory runs out.
    """
    if not nets:
        raise ValueError("no networks to ask")
    with memory.enough("predict", fix=_LESS):
        ready = [net.to(device, memory_format=torch.channels_last).eval() for net in nets]  # type: ignore[call-overload]
    for batch in loader:
        with torch.inference_mode(), memory.enough("predict", fix=_LESS):
            images = batch.images.to(device, non_blocking=True)
            average, finite = _average(ready, normalise(images, mean, std), task)
            found, usable = average.cpu().numpy(), finite.cpu().numpy()
        if not usable.all():
            raise _not_finite(batch.ids, usable)
        yield batch.ids, found, batch.originals.numpy()


def _average(nets: Sequence[nn.Module], images: Tensor, task: str) -> tuple[Tensor, Tensor]:
    """Return the mean probabilities of the nets, float32, and which images' logits are finite.

    It is the logits that tell: an infinite one has a plausible probability, 0 or 1.
    """
    activate = TASKS[task].activate
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
        logits = nets[0](images)
        total, finite = activate(logits), _finite(logits)
        for net in nets[1:]:
            logits = net(images)
            total += activate(logits)
            finite &= _finite(logits)
    return total / len(nets), finite


def _finite(logits: Tensor) -> Tensor:
    return logits.isfinite().flatten(1).all(dim=1)


def _not_finite(ids: Sequence[str], usable: npt.NDArray[np.bool_]) -> ArtifactError:
    bad = [name for name, good in zip(ids, usable.tolist(), strict=True) if not good]
    more = ", …" if len(bad) > _SHOWN else ""
    return ArtifactError(
        "a network's outputs are infinite or not a number",
        found=f"{len(bad)} of {len(ids)} images of a batch: {', '.join(bad[:_SHOWN])}{more}",
        expected="finite numbers",
        fix="train again, with a lower train.lr",
    )
