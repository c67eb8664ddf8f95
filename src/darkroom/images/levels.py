"""Map samples of any kind to bytes: linearly, from a range that is chosen or the image's own."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError

Pixels = NDArray[np.uint8]
Samples = NDArray[Any]
Levels = tuple[float, float] | Literal["auto"] | None
"""The samples that become 0 and 255; "auto": those of each image; None: none are mapped."""

Setting = list[float] | Literal["auto"] | None
"""Levels as params.yaml and model.json have them."""

AUTO_PERCENTILES = (0.1, 99.9)
KEY = "preprocess.levels"
ADVICE = f"set {KEY}: auto, or {KEY}: [lo, hi], the values that become 0 and 255"


def levels_of(setting: Setting) -> Levels:
    """Return levels from what params.yaml or model.json says of them.

    Example:
        >>> levels_of([0.0, 4095.0]), levels_of("auto")
        ((0.0, 4095.0), 'auto')
    """
    return (setting[0], setting[1]) if isinstance(setting, list) else setting


def to_bytes(samples: Samples, levels: Levels, *, name: str) -> Pixels:
    """Return uint8 of the same shape: samples from lo to hi become 0 to 255, rounded and clipped.

    With "auto", lo and hi are the 0.1 and 99.9 percentiles of all samples, or their least and
    greatest where those two are equal. Where all samples are equal, all bytes are 0.

    Args:
        samples: Finite. Booleans and uint8 are not mapped: False and True become 0 and 255.
        levels: See `Levels`.
        name: Of the file, for messages.

    Raises:
        DataError: There are no levels for samples that need them.

    Example:
        >>> to_bytes(np.array([-5, 100, 300, 500, 900]), (100, 500), name="a.npy").tolist()
        [0, 0, 128, 255, 255]
    """
    if samples.dtype == np.uint8:
        return samples
    if samples.dtype == np.bool_:
        return samples.astype(np.uint8) * np.uint8(255)
    if levels is None:
        low, high = value_range(samples)
        raise DataError(
            "its values do not fit into bytes",
            file=name,
            found=f"{samples.dtype}, from {low:g} to {high:g}",
            expected="uint8, or levels that map them to 0..255",
            fix=ADVICE,
        )
    low, high = auto_levels(samples) if levels == "auto" else levels
    if high <= low:
        return np.zeros(samples.shape, np.uint8)
    # Of 16 bits and less, float32 holds every value.
    exact = samples.dtype.itemsize <= 2 or samples.dtype == np.float32
    scaled: NDArray[np.floating] = samples.astype(np.float32 if exact else np.float64)
    scaled -= low
    scaled *= 255
    scaled /= high - low
    return np.asarray(np.rint(scaled.clip(0, 255)), np.uint8)


def auto_levels(samples: Samples) -> tuple[float, float]:
    """Return the levels that "auto" means for finite samples; two equal ones if all are equal."""
    wide = samples.astype(np.float32) if samples.dtype == np.float16 else samples
    low, high = (float(value) for value in np.percentile(wide, AUTO_PERCENTILES))
    return (low, high) if low < high else value_range(samples)


def value_range(samples: Samples) -> tuple[float, float]:
    """Return the least and the greatest sample."""
    return float(samples.min()), float(samples.max())


def check_finite(samples: Samples, name: str) -> None:
    """Raise DataError where a sample is infinite or not a number; it names the first."""
    if samples.dtype.kind != "f":
        return
    finite = np.isfinite(samples)
    if not finite.all():
        first = np.unravel_index(int(finite.argmin()), samples.shape)
        raise DataError(
            "some values are infinite or not a number",
            file=name,
            found=f"{finite.size - int(finite.sum()):,} of {finite.size:,}, the first "
            f"{samples[first]} at row {first[0]}, column {first[1]}",
            expected="finite numbers",
            fix="replace them in the file, or leave out its row (data.train.where)",
        )
