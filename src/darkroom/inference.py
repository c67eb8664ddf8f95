"""Networks to probabilities, a batch at a time."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from darkroom.dataset import Batch
from darkroom.errors import ParamsError, ResourceError
from darkroom.models import MEAN, STD, normalise
from darkroom.tasks import TASKS

Prediction = tuple[list[str], npt.NDArray[np.float32], npt.NDArray[np.int64]]


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
    """
    if not nets:
        raise ValueError("no networks to ask")
    ready = [net.to(device, memory_format=torch.channels_last).eval() for net in nets]  # type: ignore[call-overload]
    for batch in loader:
        with torch.inference_mode():
            images = batch.images.to(device, non_blocking=True)
            average = _average(ready, normalise(images, mean, std), task)
        yield batch.ids, average.cpu().numpy(), batch.originals.numpy()


def _average(nets: Sequence[nn.Module], images: Tensor, task: str) -> Tensor:
    """Return the mean probabilities of the nets, float32."""
    activate = TASKS[task].activate
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
        total = activate(nets[0](images))
        for net in nets[1:]:
            total += activate(net(images))
    return total / len(nets)
