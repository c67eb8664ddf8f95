"""Networks to probabilities, batch by batch: averaged over networks, transforms and tiles."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from darkroom.errors import ArtifactError
from darkroom.models.build import MEAN, STD, normalise
from darkroom.models.device import out_of_memory_errors
from darkroom.prediction.networks.tiles import Tiles, predict_tiled
from darkroom.prediction.networks.tta import TRANSFORMS, TTA, rescale, restore_size
from darkroom.prediction.predictions import Prediction
from darkroom.store.loader import Batch
from darkroom.tasks.planes import OVERLAPPING, MaskClasses
from darkroom.tasks.table import Task, get_task

_MEMORY_FIX = "lower predict.batch_size, or train a smaller model or on fewer pixels"
_MAX_IDS = 5  # in an error
_NO_TTA = TTA()

Network = tuple[nn.Module, torch.dtype]
"""A network, and what its products are computed in; float32: no mixed precision."""


def predict(
    networks: Sequence[nn.Module],
    loader: Iterable[Batch],
    task: str,
    device: torch.device,
    *,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
    tta: TTA = _NO_TTA,
    tiles_at_once: int = 1,
    dtypes: Sequence[torch.dtype] | None = None,
    classes: MaskClasses = OVERLAPPING,
) -> Iterator[Prediction]:
    """Return an iterator of predictions, averaged over networks, transforms and scales.

    Each batch is read once and nothing is kept, so memory does not grow with the number of
    images. On a GPU the results of a batch are given once the next one is on the device. The
    networks are moved to the device and set to eval mode.

    Args:
        networks: The folds of one network, for example; at least one.
        loader: Of `Batch`; targets are ignored. The size of its batches is also the number of
            tiles that are predicted at once.
        task: A name of `darkroom.tasks.table.TASKS`.
        device: From `choose_device`.
        mean: Of the normalisation that the networks were trained with.
        std: Likewise.
        tta: Transforms, scales and tiles.
        tiles_at_once: At least so many tiles at once: bits may depend on it, so it must not depend
            on which batch comes first; larger batches raise it.
        dtypes: Of the products of each network (`darkroom.models.device.prediction_dtype`); None:
            float32 for all.
        classes: How mask classes share the pixels.

    Raises:
        ParamsError: `tta` has scales or tiles, and the task has no masks.
        ArtifactError: A network's output is infinite or not a number.
        ResourceError: There is not enough memory.
    """
    if not networks:
        raise ValueError("no networks to predict with")
    tta.require_supported(task)  # here, not in the generator: before the first batch is asked for
    pairs = list(zip(networks, dtypes or [torch.float32] * len(networks), strict=True))
    target = get_task(task, classes=classes)
    return _predictions(pairs, loader, target, device, mean, std, tta, tiles_at_once)


def _predictions(
    networks: Sequence[Network],
    loader: Iterable[Batch],
    task: Task,
    device: torch.device,
    mean: Sequence[float],
    std: Sequence[float],
    tta: TTA,
    tiles_at_once: int,
) -> Iterator[Prediction]:
    with out_of_memory_errors("predict", fix=_MEMORY_FIX):
        for net, _ in networks:
            net.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    late = device.type == "cuda"  # its next batch is computed while the host has the last one
    launched: deque[_Launched] = deque()
    for batch in loader:
        tiles_at_once = max(tiles_at_once, len(batch))  # the last batch may be smaller
        with torch.inference_mode(), out_of_memory_errors("predict", fix=_MEMORY_FIX):
            images = normalise(batch.images.to(device, non_blocking=True), mean, std)
            probabilities = _average(networks, images, task, tta, tiles_at_once)
            launched.append(_launch_copy(batch, probabilities))
        if len(launched) > late:
            yield launched.popleft().result()
    for each in launched:
        yield each.result()


@dataclass(frozen=True)
class _Launched:
    """A batch whose probabilities are on their way from the device.

    Attributes:
        batch: The images.
        probabilities: float32 (n, ...), on the host once `arrival` is past.
        finite: bool (n,), likewise: whether all of an image's are numbers.
        arrival: On a GPU, when they are there.
    """

    batch: Batch
    probabilities: Tensor
    finite: Tensor
    arrival: torch.cuda.Event | None

    def result(self) -> Prediction:
        """Wait for the probabilities and return them.

        Raises:
            ArtifactError: Some are infinite or not a number.
        """
        with out_of_memory_errors("predict", fix=_MEMORY_FIX):
            if self.arrival is not None:
                self.arrival.synchronize()
        batch, finite = self.batch, self.finite.numpy()
        if not finite.all():
            raise _not_finite(batch.ids, finite)
        return Prediction(batch.ids, self.probabilities.numpy(), batch.originals.numpy())


def _launch_copy(batch: Batch, probabilities: Tensor) -> _Launched:
    """Start the copy of a batch's probabilities to the host."""
    finite = probabilities.isfinite().flatten(1).all(dim=1)
    if not probabilities.is_cuda:
        return _Launched(batch, probabilities.cpu(), finite.cpu(), None)
    copies = [each.to("cpu", non_blocking=True) for each in (probabilities, finite)]  # pinned
    arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrival.record()
    return _Launched(batch, copies[0], copies[1], arrival)


def _average(
    networks: Sequence[Network], images: Tensor, task: Task, tta: TTA, tiles_at_once: int
) -> Tensor:
    """Return the mean probabilities, float32, over networks, transforms and scales."""
    size = (images.shape[-2], images.shape[-1])
    total: Tensor | None = None
    for scale in tta.scales:
        scaled = rescale(images, scale)
        for transform in (TRANSFORMS[name] for name in tta.all_transforms):
            inputs = transform.apply(scaled).contiguous(memory_format=torch.channels_last)
            probabilities = _sum_tiled(networks, inputs, task, tta.tiles, tiles_at_once)
            if task.masks:
                probabilities = restore_size(transform.undo(probabilities), size)
            total = probabilities if total is None else total.add_(probabilities)
    assert total is not None
    return total / (len(networks) * len(tta.all_transforms) * len(tta.scales))


def _sum_tiled(
    networks: Sequence[Network],
    images: Tensor,
    task: Task,
    tiles: Tiles | None,
    tiles_at_once: int,
) -> Tensor:
    """Return the sum of the networks' probabilities, for whole images or tile by tile."""
    if tiles is None:
        return _sum(networks, images, task)
    return predict_tiled(
        images, tiles, lambda some: _sum(networks, some, task), at_once=tiles_at_once
    )


def _sum(networks: Sequence[Network], images: Tensor, task: Task) -> Tensor:
    """Return the sum of the networks' probabilities, float32; NaN where a logit is not finite.

    The logits are tested because an infinite one has a plausible probability, 0 or 1.
    """
    total: Tensor | None = None
    for network, dtype in networks:
        with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
            logits = network(images)
            probabilities = task.activate(logits)
        broken = ~logits.isfinite().flatten(1).all(dim=1)
        shape = (-1, *[1] * (probabilities.ndim - 1))
        probabilities = probabilities.masked_fill(broken.view(shape), torch.nan)
        total = probabilities if total is None else total.add_(probabilities)
    assert total is not None
    return total


def _not_finite(ids: Sequence[str], finite: npt.NDArray[np.bool_]) -> ArtifactError:
    bad = [image_id for image_id, good in zip(ids, finite.tolist(), strict=True) if not good]
    more = ", …" if len(bad) > _MAX_IDS else ""
    return ArtifactError(
        "a network's outputs are infinite or not a number",
        found=f"{len(bad)} of {len(ids)} images of a batch: {', '.join(bad[:_MAX_IDS])}{more}",
        expected="finite numbers",
        fix="train again, with a lower train.lr",
    )
