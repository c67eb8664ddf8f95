"""Draw the raw files of CelebA: aligned faces, the attribute list, the partition list."""

from functools import partial
from pathlib import Path

import numpy as np

from darkroom.project import files
from darkroom.raw.sample.face.attributes import NAMES, choose_attributes
from darkroom.raw.sample.face.portrait import draw_portrait, encode_portrait
from darkroom.raw.sample.packing import map_in_order, write_zip

CHUNK = 50


def draw_celeba(folder: Path, seed: int, *, images: int = 1000, workers: int = 1) -> None:
    """Draw img_align_celeba.zip and the two lists into `folder`, laid out like the official files.

    The partitions are consecutive: 80 % of the images train, 10 % validate, 10 % test. The bytes
    depend on `seed` and `images` alone.

    Args:
        folder: Where the three files go.
        seed: Of all random numbers; each face has its own generator.
        images: The number of faces.
        workers: Processes that draw. They change no byte.
    """
    starts = range(0, images, CHUNK)
    chunks = [(start, min(start + CHUNK, images)) for start in starts]
    drawn = [d for chunk in map_in_order(partial(_draw, seed), chunks, workers) for d in chunk]
    names = [f"{number:06d}.jpg" for number in range(1, images + 1)]
    faces = [(f"img_align_celeba/{n}", d[0]) for n, d in zip(names, drawn, strict=True)]
    write_zip(folder / "img_align_celeba.zip", faces)
    rows = [_row(name, attributes) for name, (_, attributes) in zip(names, drawn, strict=True)]
    _write_lines(folder / "list_attr_celeba.txt", [str(images), " ".join(NAMES) + " ", *rows])
    partitions = [f"{name} {_partition(i, images)}" for i, name in enumerate(names)]
    _write_lines(folder / "list_eval_partition.txt", partitions)


def _draw(seed: int, chunk: tuple[int, int]) -> list[tuple[bytes, dict[str, bool]]]:
    drawn = []
    for number in range(*chunk):
        rng = np.random.default_rng([seed, 3, number])
        attributes = choose_attributes(rng)
        drawn.append((encode_portrait(draw_portrait(attributes, rng)), attributes))
    return drawn


def _row(name: str, attributes: dict[str, bool]) -> str:
    """Return a row of the official list: every value but the first takes two columns."""
    first, *others = attributes.values()
    padded = (" 1" if is_so else "-1" for is_so in others)
    return " ".join([name, "1" if first else "-1", *padded])


def _partition(index: int, images: int) -> int:
    """Return 0 for training, 1 for validation, 2 for test."""
    return (index >= round(0.8 * images)) + (index >= round(0.9 * images))


def _write_lines(path: Path, lines: list[str]) -> None:
    files.write(path, "".join(f"{line}\r\n" for line in lines).encode("ascii"))
