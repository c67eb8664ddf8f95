"""How far pictures shift in reduced JPEG decoding: `python -m benchmarks.alignment`.

An edge is drawn at a known place between two pixels, of pictures of random sizes, stored at random
sizes with each fit. The places where it is found, in stored pixels, are compared: decoded in full,
decoded at the reduced size that preprocess uses, and the same with the reduced size, which is
rounded up, taken for the true one. The way back to the original size is measured too.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darkroom.images import codec, geometry
from darkroom.images.geometry import FITS, Fit

DARK, BRIGHT = 60, 200  # inside of 0 to 255: what a decoder overshoots at an edge is not cut off
QUALITY = 98
COUNT, QUICK_COUNT = 2000, 12


@dataclass(frozen=True)
class Triple:
    """The size of a picture, the size that it is stored at, and the fit, with an edge in it.

    Attributes:
        height: Of the picture, px.
        width: Of the picture, px.
        to_height: As stored, px.
        to_width: As stored, px.
        fit: What to do where the proportions differ.
        axis: 0 for an edge between rows, 1 for one between columns.
        at: Where the edge is, as a share of what is shown of that axis.
    """

    height: int
    width: int
    to_height: int
    to_width: int
    fit: Fit
    axis: int
    at: float

    @property
    def placement(self) -> geometry.Placement:
        """Where the picture is stored."""
        return geometry.fit_placement(
            self.height, self.width, self.to_height, self.to_width, self.fit
        )


@dataclass(frozen=True)
class Shift:
    """How far an edge is from where it is when the JPEG is decoded in full, stored px.

    Attributes:
        divisor: 1, 2, 4 or 8.
        reduced: Decoded at 1/divisor.
        rounded: The same, with the rounded size taken for the true one.
        restored: Decoded at 1/divisor, stored, and restored to the original size.
    """

    divisor: int
    reduced: float
    rounded: float
    restored: float


def random_triples(count: int, seed: int = 0) -> Iterator[Triple]:
    """Yield triples whose edges lie 8 to 95 % along, in both axes in turn."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        height, width = rng.integers(200, 1600, 2).tolist()
        to_height, to_width = rng.integers(32, 513, 2).tolist()
        at = float(rng.uniform(0.08, 0.95))
        yield Triple(height, width, to_height, to_width, FITS[number % 3], number // 3 % 2, at)


def measure_shift(triple: Triple) -> Shift:
    """Return how far the edge of one triple shifts."""
    size, to = (triple.height, triple.width), (triple.to_height, triple.to_width)
    data = codec.encode_jpeg(draw_edge(triple), QUALITY)
    sufficient = geometry.sufficient_size(*size, *to, triple.fit)
    full, reduced = codec.decode_image(data), codec.decode_image(data, at_least=sufficient)
    expected = geometry.fit_image(full, *to, triple.fit)
    fitted = geometry.fit_image(reduced, *to, triple.fit, original=size)
    place = find_edge(expected, triple)
    return Shift(
        divisor=round(full.shape[0] / reduced.shape[0]),
        reduced=find_edge(fitted, triple) - place,
        rounded=_bright_length(_fit_rounded(reduced, triple)[:, :, 1], triple.axis) - place,
        restored=find_restored(fitted, triple) - find_restored(expected, triple),
    )


def _fit_rounded(reduced: codec.Pixels, triple: Triple) -> codec.Pixels:
    """Return what shows the original, resized from its box in the reduced copy to whole pixels."""
    source, stored = triple.placement.source, triple.placement.stored
    rows, columns = reduced.shape[0] / triple.height, reduced.shape[1] / triple.width
    top, bottom = round(source.top * rows), round((source.top + source.height) * rows)
    left, right = round(source.left * columns), round((source.left + source.width) * columns)
    return geometry.fit_image(
        reduced[top:bottom, left:right], stored.height, stored.width, "stretch"
    )


def draw_edge(triple: Triple) -> codec.Pixels:
    """Return uint8 (H, W, 3): bright up to the edge and dark from there on."""
    size = (triple.height, triple.width)
    source = triple.placement.source
    start = (source.top, source.left)[triple.axis]
    place = start + triple.at * (source.height, source.width)[triple.axis]
    line = np.clip(place - np.arange(size[triple.axis]), 0, 1) * (BRIGHT - DARK) + DARK
    shaped = line[:, None, None] if triple.axis == 0 else line[None, :, None]
    return np.ascontiguousarray(np.broadcast_to(np.round(shaped), (*size, 3)).astype(np.uint8))


def find_edge(stored: codec.Pixels, triple: Triple) -> float:
    """Return where the edge is in a stored picture, px from the first that shows the original."""
    return _bright_length(stored[triple.placement.stored.slices][:, :, 1], triple.axis)


def find_restored(stored: codec.Pixels, triple: Triple) -> float:
    """Return the same after the way back to the original size, in stored px."""
    levels = stored[:, :, 1].astype(np.float32)
    restored = geometry.restore(levels, triple.height, triple.width, triple.fit)
    shown = restored[triple.placement.source.slices]
    box = triple.placement.stored
    length = (box.height, box.width)[triple.axis]
    return _bright_length(shown, triple.axis) * float(length / shown.shape[triple.axis])


def _bright_length(pixels: NDArray[np.uint8] | NDArray[np.float32], axis: int) -> float:
    line = pixels.mean(axis=1 - axis, dtype=np.float64)
    return float((line - DARK).sum() / (BRIGHT - DARK))


def report(shifts: list[Shift]) -> list[str]:
    """Return the table of the worst shifts, line by line."""
    lines = [
        "| decoded at | pictures | worst shift, stored px | size rounded up | way back |",
        "|---|---|---|---|---|",
    ]
    for divisor in (1, 2, 4, 8):
        rows = [shift for shift in shifts if shift.divisor == divisor]
        if rows:
            worst = [
                max(abs(getattr(shift, name)) for shift in rows)
                for name in ("reduced", "rounded", "restored")
            ]
            cells = " | ".join(f"{value:.4f}" for value in worst)
            lines.append(f"| 1/{divisor} | {len(rows)} | {cells} |")
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    count = QUICK_COUNT if parser.parse_args(arguments).quick else COUNT
    print(f"{count} random sizes, stored sizes and fits\n")
    print("\n".join(report([measure_shift(triple) for triple in random_triples(count)])))


if __name__ == "__main__":
    main()
