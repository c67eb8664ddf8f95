"""Which images a network has learned from: codes that travel beside its weights.

A score on such an image is no measure of what the network does with a new one. The codes pass from
run to run with the weights, so that a validation image is found however long ago it was learned.
"""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import ArtifactError

FILE = "images.npy"
Codes = NDArray[np.uint64]

_HEX_DIGITS = 16  # of an index's digest: 64 bits, among a million images none agree by chance


def image_codes(digests: Iterable[str]) -> Codes:
    """Return the codes of images, uint64 (n,), sorted, each once.

    Args:
        digests: Of the images' bytes, hexadecimal, as the index has them.

    Example:
        >>> image_codes(["00000000000000ff00", "0000000000000001ff", "00000000000000ff00"]).tolist()
        [1, 255]
    """
    return np.unique(np.array([int(each[:_HEX_DIGITS], 16) for each in digests], np.uint64))


def leaked(digests: Iterable[str], learned: Codes, trains_on: Iterable[str]) -> list[int]:
    """Return the positions of the images that a network had learned before its own training.

    What it trains on itself is left out: copies on both sides of a fold are the data's, and the
    audit counts them.

    Args:
        digests: Of the images to score.
        learned: The codes of all images that the network learned from.
        trains_on: The digests of the images of its own training.

    Example:
        >>> learned = image_codes(["0a" * 8, "0b" * 8])
        >>> leaked(["0a" * 8, "0b" * 8, "0c" * 8], learned, ["0b" * 8])
        [0]
    """
    known = np.setdiff1d(learned, image_codes(trains_on))
    codes = np.array([int(each[:_HEX_DIGITS], 16) for each in digests], np.uint64)
    return np.flatnonzero(np.isin(codes, known)).tolist()


def to_bytes(codes: Codes) -> bytes:
    """Return the bytes of a file of codes; the same codes give the same bytes."""
    stream = io.BytesIO()
    np.save(stream, codes.astype("<u8"), allow_pickle=False)
    return stream.getvalue()


def read_codes(file: Path) -> Codes:
    """Return the codes of a file; none if there is no such file, as beside weights from elsewhere.

    Raises:
        ArtifactError: It is damaged.
    """
    if not file.is_file():
        return np.empty(0, np.uint64)
    try:
        codes = np.load(file, allow_pickle=False)
        if codes.ndim != 1 or codes.dtype != np.dtype("<u8"):
            raise ValueError(f"{codes.dtype} {codes.shape}")
    except (ValueError, EOFError, OSError) as error:
        raise ArtifactError(
            "it is damaged", file=file, found=error, expected="uint64 numbers", fix="train again"
        ) from error
    return np.asarray(codes, np.uint64)
