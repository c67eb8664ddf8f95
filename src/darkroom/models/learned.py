"""Which images a network has learned from: codes that travel in the file of its weights.

A score on such an image is no measure of what the network does with a new one. The codes pass from
run to run with the weights, so that a validation image is found however long ago it was learned.
"""

import base64
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from darkroom.errors import ArtifactError

Codes = NDArray[np.uint64]

_KEY = "learned_images"
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
    earlier = np.setdiff1d(learned, image_codes(trains_on))
    codes = np.array([int(each[:_HEX_DIGITS], 16) for each in digests], np.uint64)
    return np.flatnonzero(np.isin(codes, earlier)).tolist()


def to_metadata(codes: Codes) -> dict[str, str]:
    """Return what a `.safetensors` file says of the images that its weights learned from.

    It is in the file itself, so that a copy of the weights says it too.

    Example:
        >>> to_metadata(image_codes(["00000000000000ff"]))
        {'learned_images': '/wAAAAAAAAA='}
    """
    return {_KEY: base64.b64encode(codes.astype("<u8").tobytes()).decode()}


def read_codes(file: Path) -> Codes:
    """Return the codes in a file of weights; none in a file from elsewhere.

    Raises:
        ArtifactError: It is damaged.
    """
    if file.suffix != ".safetensors":
        return image_codes([])
    try:
        with safe_open(file, framework="pt") as weights:
            text = (weights.metadata() or {}).get(_KEY, "")
        codes = np.frombuffer(base64.b64decode(text, validate=True), "<u8")
    except (SafetensorError, ValueError) as error:
        raise ArtifactError("it is damaged", file=file, found=error, fix="train again") from error
    return codes.astype(np.uint64)
