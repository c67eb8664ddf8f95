"""Run lengths of masks: encoded and decoded, beside pycocotools and beside the usual numpy lines.

    python -m benchmarks.rle [--data FOLDER] [--quick] [--json FILE]

Carvana's masks at 1918x1280, along rows and down columns, one at a time and four classes at once,
and small ones. Ours and the numpy lines write and read the text of a submission; pycocotools (left
out if it is not installed) its own compressed counts, of which it makes no such text. It knows
columns alone and wants Fortran order: along rows it gets the transposed mask, which costs nothing;
down columns masks as they are decoded, in C order, and, as its best case, masks that lie in Fortran
order already. All must give the same pixels. They take turns in one run, one thread; milliseconds
of CPU a mask.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Goal, Rate, Report, Table, parser, take_turns
from benchmarks.submission import DATA, drawn_masks, real_masks
from darkroom.images import rle
from darkroom.images.codec import Pixels
from darkroom.images.rle import Order

OURS, NUMPY, COCO, COCO_BEST = "Darkroom", "numpy", "pycocotools", "pycocotools, Fortran order"
CLASSES, SMALL = 4, 256
PIXELS = 1 << 28  # of a turn, so that the clock costs nothing


@dataclass(frozen=True)
class Case:
    """Masks of one kind.

    Attributes:
        name: Of the row.
        masks: uint8 (K, H, W) each, of 0 and 1.
        order: Of the runs.
    """

    name: str
    masks: list[Pixels]
    order: Order

    @property
    def texts(self) -> list[list[str]]:
        """The right texts, a class each."""
        return [[rle.encode(plane, self.order) for plane in planes] for planes in self.masks]


def numpy_text(mask: Pixels, order: Order) -> str:
    """Return the text by the lines that most notebooks share, with both ends padded: right."""
    pixels = mask.T.flatten() if order == "column" else mask.flatten()
    pixels = np.concatenate([[0], pixels, [0]])
    runs = np.where(pixels[1:] != pixels[:-1])[0] + 1
    runs[1::2] -= runs[::2]
    return " ".join(str(number) for number in runs)


def numpy_mask(text: str, height: int, width: int, order: Order) -> Pixels:
    """Return the mask of a text by the lines that most notebooks share."""
    numbers = text.split()
    starts, lengths = (np.asarray(numbers[first::2], dtype=int) for first in (0, 1))
    starts -= 1
    pixels = np.zeros(height * width, dtype=np.uint8)
    for start, end in zip(starts, starts + lengths, strict=True):
        pixels[start:end] = 1
    return pixels.reshape((height, width)) if order == "row" else pixels.reshape((width, height)).T


def encoders(case: Case) -> dict[str, Callable[[], int]]:
    """Return what writes all masks of a case, by contender."""

    def by_plane(encode: Callable[[Pixels, Order], str]) -> int:
        for planes in case.masks:
            for plane in planes:
                encode(plane, case.order)
        return len(case.masks)

    def by_coco(stacks: Sequence[Pixels], encode: Callable[[Pixels], Any]) -> int:
        for planes in stacks:
            encode(np.asfortranarray(_last(planes, case.order)))
        return len(stacks)

    contenders: dict[str, Callable[[], int]] = {
        OURS: partial(by_plane, rle.encode),
        NUMPY: partial(by_plane, numpy_text),
    }
    if coco := _pycocotools():
        best = [_first(np.asfortranarray(_last(m, case.order)), case.order) for m in case.masks]
        contenders[COCO] = partial(by_coco, case.masks, coco.encode)
        contenders[COCO_BEST] = partial(by_coco, best, coco.encode)
    return contenders


def decoders(case: Case) -> dict[str, Callable[[], int]]:
    """Return what reads all masks of a case, by contender; all give the same pixels."""
    height, width = case.masks[0].shape[1:]
    texts = case.texts

    def by_plane(decode: Callable[[str, int, int, Order], Pixels]) -> int:
        for planes in texts:
            for text in planes:
                decode(text, height, width, case.order)
        return len(texts)

    contenders: dict[str, Callable[[], int]] = {
        OURS: partial(by_plane, rle.decode),
        NUMPY: partial(by_plane, numpy_mask),
    }
    for mask, text in zip(case.masks[0], texts[0], strict=True):
        for name, decode in ((OURS, rle.decode), (NUMPY, numpy_mask)):
            _require_same(name, decode(text, height, width, case.order), mask)
    if coco := _pycocotools():
        packed = [coco.encode(np.asfortranarray(_last(m, case.order))) for m in case.masks]

        def by_coco() -> int:
            for each in packed:
                coco.decode(each)
            return len(packed)

        contenders[COCO] = by_coco
        for mask, plane in zip(
            case.masks[0], _first(coco.decode(packed[0]), case.order), strict=True
        ):
            _require_same(COCO, plane, mask)
    return contenders


def _require_same(name: str, pixels: NDArray[Any], mask: Pixels) -> None:
    if not np.array_equal(pixels, mask):
        raise SystemExit(f"{name} gives other pixels")


def _last(planes: Pixels, order: Order) -> Pixels:
    """Return (K, H, W) with the classes last; along rows its columns are ours' rows."""
    return planes.transpose((1, 2, 0) if order == "column" else (2, 1, 0))


def _first(planes: Pixels, order: Order) -> Pixels:
    return planes.transpose((2, 0, 1) if order == "column" else (2, 1, 0))


def _pycocotools() -> Any:
    is_there = find_spec("pycocotools") is not None
    return import_module("pycocotools.mask") if is_there else None


def cases(data: Path, count: int) -> tuple[str, list[Case]]:
    """Return where masks are from, and the cases."""
    is_real = (data / "train_masks.zip").is_file()
    whole = real_masks(data, count) if is_real else drawn_masks(count)
    masks = [np.ascontiguousarray(mask)[None] for mask in whole]
    several = [
        np.concatenate([masks[(first + k) % count] for k in range(CLASSES)])
        for first in range(count)
    ]
    top, left = whole[0].shape[0] // 4, whole[0].shape[1] // 4  # windows with some outline
    small = [mask[:, top : top + SMALL, left : left + SMALL].copy() for mask in masks]
    kinds = {"1918x1280": masks, f"1918x1280, {CLASSES} classes": several, "256x256": small}
    orders: dict[str, Order] = {"along rows": "row", "down columns": "column"}
    return "real" if is_real else "drawn", [
        Case(f"{kind}, {words}", each, order)
        for kind, each in kinds.items()
        for words, order in orders.items()
    ]


def repeated(work: Callable[[], int], times: int) -> Callable[[], int]:
    """Return what does the same work several times."""
    return lambda: sum(work() for _ in range(times))


def measure(case: Case, verb: str, rounds: int, pixels: int) -> dict[str, Rate]:
    """Return the rates of all contenders, in turns of so many pixels."""
    contenders = encoders(case) if verb == "encode" else decoders(case)
    times = max(1, pixels // sum(planes.size for planes in case.masks))
    return take_turns({k: repeated(work, times) for k, work in contenders.items()}, rounds)


def tabulate(rates: Mapping[str, Mapping[str, Mapping[str, Rate]]]) -> Report:
    """Return a table for each of encode and decode, and the goals: faster than each peer.

    Args:
        rates: By "encode" and "decode", by case, by contender.
    """
    report = Report("")
    for verb, by_case in rates.items():
        names = list(next(iter(by_case.values())))
        table = Table(["", *names, "against the fastest"], title=f"{verb}, CPU ms a mask")
        for case, each in by_case.items():
            ratios = {name: each[OURS].cpu / each[name].cpu for name in names if name != OURS}
            row = [1000 / each[name].cpu for name in names]
            table.rows.append([case, *row, f"{min(ratios.values()):.2f}x"])
            name, ratio = min(ratios.items(), key=lambda pair: pair[1])
            report.goals.append(Goal(f"{verb}, {case}: against {name}", ratio, 1))
        report.tables.append(table)
    if COCO not in names:
        report.notes.append("pycocotools is not installed: `pip install pycocotools`")
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = parser("rle", __doc__)
    choices.add_argument("--data", type=Path, default=DATA, help="holds train_masks.zip")
    options = choices.parse_args(arguments)
    source, each = cases(options.data, 4 if options.quick else 16)
    rounds = 1 if options.quick else 5
    pixels = 1 if options.quick else PIXELS
    rates = {
        verb: {case.name: measure(case, verb, rounds, pixels) for case in each}
        for verb in ("encode", "decode")
    }
    report = tabulate(rates)
    report.title = f"Run lengths of {source} masks, one thread, medians of {rounds} rounds"
    report.finish(options)


if __name__ == "__main__":
    main()
