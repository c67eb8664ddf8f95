"""Networks to probabilities, a batch at a time: averaged over networks, views and tiles."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from darkroom.errors import ArtifactError, ParamsError
from darkroom.models import device as memory
from darkroom.models.build import MEAN, STD, normalise
from darkroom.prediction import tiles
from darkroom.prediction import tta as views
from darkroom.prediction.tiles import Tiles
from darkroom.prediction.tta import VIEWS
from darkroom.store.loader import Batch
from darkroom.tasks.table import TASKS

Prediction = tuple[list[str], npt.NDArray[np.float32], npt.NDArray[np.int64]]

_LESS = "lower batch_size of evaluate or predict, or train a smaller model or on smaller pictures"
_SHOWN = 5  # ids in an error


@dataclass(frozen=True)
class How:
    """How pictures are shown to the networks; as it is by default, once and whole.

    Args:
        tta: Names of `darkroom.prediction.tta.VIEWS` to see them in beside the plain view.
        scales: Sizes to see them at, each in all views, as shares of the stored size. Masks only.
        tiles: How to cut them where the networks see less than a picture. Masks only.

    Raises:
        ParamsError: An unknown view, one named twice, or no scale above 0.
    """

    tta: tuple[str, ...] = ()
    scales: tuple[float, ...] = (1.0,)
    tiles: Tiles | None = None

    def __post_init__(self) -> None:
        if len(set(self.tta)) < len(self.tta) or not set(self.tta) <= set(VIEWS):
            raise ParamsError(
                "evaluate.tta names what is no view, or one twice",
                file="params.yaml",
                found=", ".join(self.tta),
                expected=f"some of {', '.join(VIEWS)}, each once",
            )
        if not self.scales or min(self.scales) <= 0 or len(set(self.scales)) < len(self.scales):
            raise ParamsError(
                "evaluate.scales cannot be so",
                file="params.yaml",
                found=list(self.scales),
                expected="one or more numbers above 0, each once",
            )

    @property
    def views(self) -> tuple[str, ...]:
        """The plain view, then the others."""
        return ("identity", *(name for name in self.tta if name != "identity"))

    def check(self, task: str) -> None:
        """Refuse what only masks can be put together from.

        Raises:
            ParamsError: Scales or tiles for a task without masks.
        """
        asked = {"scales": self.scales != (1.0,), "tiles": self.tiles is not None}
        for key, present in asked.items():
            if present and not TASKS[task].masks:
                raise ParamsError(
                    f"evaluate.{key} is for masks, and the task is {task}",
                    file="params.yaml",
                    found=getattr(self, key),
                    fix=f"take {key} out of the evaluate section",
                )


_PLAIN = How()


def probabilities(
    nets: Sequence[nn.Module],
    loader: Iterable[Batch],
    task: str,
    device: torch.device,
    *,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
    how: How = _PLAIN,
) -> Iterator[Prediction]:
    """Return an iterator of (ids, probabilities, originals), averaged over nets and views.

    Each batch is read once and shown to all nets in all views; nothing is kept, so memory does
    not grow with the number of images. The nets are moved to the device and set to eval mode.

    Args:
        nets: Folds of one network, say; at least one.
        loader: Of `Batch`; targets are not looked at. The size of its batches is also how many
            tiles are shown at once.
        task: A name of `darkroom.tasks.table.TASKS`.
        device: From `device_for`.
        mean: Of the normalisation that the nets were trained with.
        std: Likewise.
        how: The views, sizes and tiles.

    Returns:
        For each batch: ids; float32 (n, H, W) for masks at the stored size, (n, K) for the others
        (values for regression); heights and widths of the original images, int64 (n, 2).

    Raises:
        ParamsError: `how` asks for what the task has not.
        ArtifactError: A net's output is infinite or not a number.
        ResourceError: Memory runs out.
    """
    if not nets:
        raise ValueError("no networks to ask")
    how.check(task)
    return _predictions(nets, loader, task, device, mean, std, how)


def _predictions(
    nets: Sequence[nn.Module],
    loader: Iterable[Batch],
    task: str,
    device: torch.device,
    mean: Sequence[float],
    std: Sequence[float],
    how: How,
) -> Iterator[Prediction]:
    with memory.enough("predict", fix=_LESS):
        ready = [net.to(device, memory_format=torch.channels_last).eval() for net in nets]  # type: ignore[call-overload]
    at_once = 1
    for batch in loader:
        at_once = max(at_once, len(batch))  # the last batch may be smaller
        with torch.inference_mode(), memory.enough("predict", fix=_LESS):
            images = batch.images.to(device, non_blocking=True)
            average = _average(ready, normalise(images, mean, std), task, how, at_once)
            found = average.cpu().numpy()
            usable = average.isfinite().flatten(1).all(dim=1).cpu().numpy()
        if not usable.all():
            raise _not_finite(batch.ids, usable)
        yield batch.ids, found, batch.originals.numpy()


def _average(
    nets: Sequence[nn.Module], images: Tensor, task: str, how: How, at_once: int
) -> Tensor:
    """Return the mean probabilities, float32, over nets, views and sizes."""
    size = (images.shape[-2], images.shape[-1])
    total: Tensor | None = None
    for scale in how.scales:
        pictures = views.scaled(images, scale)
        for view in (VIEWS[name] for name in how.views):
            seen = view.apply(pictures).contiguous(memory_format=torch.channels_last)
            found = _shown(nets, seen, task, how.tiles, at_once)
            if TASKS[task].masks:
                found = views.restored(view.undo(found), size)
            total = found if total is None else total.add_(found)
    assert total is not None
    return total / (len(nets) * len(how.views) * len(how.scales))


def _shown(
    nets: Sequence[nn.Module], images: Tensor, task: str, cut: Tiles | None, at_once: int
) -> Tensor:
    """Return the nets' probabilities added up, for images whole or cut into tiles."""
    if cut is None:
        return _sum(nets, images, task)
    return tiles.blended(images, cut, lambda some: _sum(nets, some, task), at_once=at_once)


def _sum(nets: Sequence[nn.Module], images: Tensor, task: str) -> Tensor:
    """Return the nets' probabilities, float32, added up; NaN where a net's logits were not finite.

    It is the logits that tell: an infinite one has a plausible probability, 0 or 1.
    """
    total: Tensor | None = None
    for net in nets:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
            logits = net(images)
            found = TASKS[task].activate(logits)
        broken = ~logits.isfinite().flatten(1).all(dim=1)
        found = found.masked_fill(broken.view(-1, *[1] * (found.ndim - 1)), torch.nan)
        total = found if total is None else total.add_(found)
    assert total is not None
    return total


def _not_finite(ids: Sequence[str], usable: npt.NDArray[np.bool_]) -> ArtifactError:
    bad = [name for name, good in zip(ids, usable.tolist(), strict=True) if not good]
    more = ", …" if len(bad) > _SHOWN else ""
    return ArtifactError(
        "a network's outputs are infinite or not a number",
        found=f"{len(bad)} of {len(ids)} images of a batch: {', '.join(bad[:_SHOWN])}{more}",
        expected="finite numbers",
        fix="train again, with a lower train.lr",
    )
