"""Cells of run lengths: each by itself, those of an image together, and all of a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from darkroom.errors import DataError, one_line
from darkroom.images import rle
from darkroom.submission.lines import Fault, quote

Size = tuple[int, int]

_FEW = 10  # masks, from which nothing is concluded
_MANY = 30  # images, of which one would have two objects
_MOST = 300  # masks whose runs are compared
_CLEARLY = 0.3  # more runs go on at the other side's step


@dataclass
class MaskCells:
    """Cells of run lengths; with objects, several of an image, of which no two overlap.

    Attributes:
        runs: How they are written.
        sizes: (height, width) of each id's image, px.
        objects: Whether a cell is of one object.
        furthest: The greatest share of a mask's pixels that come before the end of its last run.
        steps: Runs, and after how many another run goes on one line later: by the order that
            `runs` means, and by the other.
    """

    runs: rle.Runs
    sizes: Mapping[str, Size]
    objects: bool
    count: int = 0
    empty: int = 0
    furthest: float = 0.0
    steps: list[int] = field(default_factory=lambda: [0, 0, 0])
    masks: dict[tuple[str, str], list[tuple[int, rle.Bounds]]] = field(default_factory=dict)

    def fault(self, row: int, key: str, image_id: str, value: str) -> str | None:
        """Return what is wrong with a cell."""
        height, width = self.runs.size or self.sizes[image_id]
        self.count += 1
        try:
            bounds = rle.bounds_from_text(value, height * width, self.runs)
        except DataError as error:
            return one_line(error)
        if bounds.size:
            self.furthest = max(self.furthest, int(bounds[-1]) / (height * width))
            self._compare_orders(bounds, height, width)
        else:
            self.empty += 1
        if self.objects:
            self.masks.setdefault((image_id, key), []).append((row, bounds))
        return None

    def finish(self) -> Sequence[Fault]:
        """Return a fault for each image with objects that overlap or an empty row beside others."""
        faults = []
        for (image_id, _), masks in self.masks.items():
            if len(masks) < 2:
                continue
            if (row := next((row for row, bounds in masks if not bounds.size), None)) is not None:
                faults.append(Fault(row, f"an empty mask beside other rows of {quote(image_id)}"))
            elif overlap := _overlap(masks):
                first, second = overlap
                faults.append(Fault(second, f"its object overlaps that of row {first}"))
        return sorted(faults, key=lambda fault: fault.row or 0)

    def facts(self) -> dict[str, float]:
        """Return the share of images without a mask, and how many objects an image has."""
        if not self.count:
            return {}
        images = len(self.masks) if self.objects else self.count
        facts = {"empty share": self.empty / max(1, images)}
        if self.objects:
            facts["objects an image"] = (self.count - self.empty) / max(1, images)
        return facts

    def warnings(self) -> list[str]:
        """Return what a file says of its masks' size and order, which no single cell can show."""
        warnings = []
        filled = self.count - self.empty
        if self.count >= _FEW and not filled:
            warnings.append("every mask is empty")
        if filled >= _FEW and self.furthest < 0.5:
            warnings.append(
                f"all masks lie in the first {self.furthest:.0%} of their pixels: "
                "were they written at another size?"
            )
        if self.objects and filled >= _MANY and all(len(rows) < 2 for rows in self.masks.values()):
            warnings.append("no image has two objects: is each in a row of its own?")
        runs, by_order, by_other = self.steps
        if filled >= _FEW and by_other - by_order > _CLEARLY * runs:
            order, other = ("rows", "columns") if self.runs.order == "row" else ("columns", "rows")
            warnings.append(
                f"the runs seem to go along {other}; data.runs.order expects them along {order}"
            )
        return warnings

    def _compare_orders(self, bounds: rle.Bounds, height: int, width: int) -> None:
        """Count the runs that go on in the next line, by either order.

        The pixel beside a pixel of an object mostly is one of it too: in the text it stands a
        whole line further on. In a square image both lines are as long, and nothing is seen.
        """
        if height == width or self.count - self.empty > _MOST:
            return
        middles = (bounds[::2] + bounds[1::2]) // 2
        own = np.arange(1, bounds.size, 2)  # where a pixel of the same run would be found
        step, other = (width, height) if self.runs.order == "row" else (height, width)
        self.steps[0] += middles.size
        for number, each in ((1, step), (2, other)):
            places = np.searchsorted(bounds, middles + each, "right")
            self.steps[number] += int(((places % 2 == 1) & (places != own)).sum())


def _overlap(masks: Sequence[tuple[int, rle.Bounds]]) -> tuple[int, int] | None:
    """Return the rows of two masks that share a pixel, the earlier row first."""
    runs = np.concatenate([bounds.reshape(-1, 2) for _, bounds in masks])
    rows = np.repeat([row for row, _ in masks], [bounds.size // 2 for _, bounds in masks])
    by_start = np.lexsort((rows, runs[:, 0]))
    runs, rows = runs[by_start], rows[by_start]
    # Runs that do not overlap end in the order in which they start.
    shared = np.flatnonzero(runs[1:, 0] < runs[:-1, 1])
    if not shared.size:
        return None
    first, second = sorted(rows[shared[0] : shared[0] + 2].tolist())
    return first, second
