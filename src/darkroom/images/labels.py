"""Turn the samples of a mask file into labels 0 and 1, or refuse what would need a guess.

Grey masks hold 0, and 1 or the largest value. In a palette the index says nothing by itself: what
writes black-and-white masks as GIF or with an adaptive palette orders the colours as it likes.
There light is foreground. Where colours are used, or a colour is one of two, index 1 is.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError

Pixels = NDArray[np.uint8]
Samples = NDArray[np.unsignedinteger]

_FOREGROUND = (0, 1, 255, 65535)  # what a mask's largest value may be
_SHOWN_VALUES = 8
_EXPECTED = "0 and 1, or 0 and 255"
_FIX = "store the masks in grey, without a palette: 0 for background, 255 for foreground"


def labels_from_levels(samples: Samples, name: str) -> tuple[Pixels, str]:
    """Return labels uint8 (H, W) of grey samples (H, W), and the levels of 0 and 1: "0/255".

    The levels of an empty mask are "0".

    Raises:
        DataError: It has other values; the message names them.

    Example:
        >>> levels = np.array([[0, 255]], np.uint8)
        >>> labels_from_levels(levels, "a.png")
        (array([[0, 1]], dtype=uint8), '0/255')
    """
    low, high = _two_values(samples, name)
    if high not in _FOREGROUND or low not in (0, high):
        raise _other_values(sorted({low, high}), name)
    return _equal(samples, high if high else 1), f"0/{high}" if high else "0"


def planes_from_values(
    samples: Samples, values: Mapping[int, int | None], planes: int, name: str
) -> tuple[Pixels, Pixels]:
    """Return the classes of a mask's values, uint8 (K, H, W) of 0 and 1, and the unknown pixels.

    Args:
        samples: (H, W).
        values: The plane of each value, from 0; None: its pixels are unknown. A 0 that is not
            listed is background.
        planes: K.
        name: The file, for messages.

    Returns:
        uint8 (K, H, W) and uint8 (H, W), 1 where unknown.

    Raises:
        DataError: A value is not listed; the message names it, and how many pixels have it.

    Example:
        >>> classes, unknown = planes_from_values(
        ...     np.array([[0, 3, 9]], np.uint8), {3: 0, 9: None}, 1, "a.png"
        ... )
        >>> classes.tolist(), unknown.tolist()
        ([[[0, 1, 0]]], [[0, 0, 1]])
    """
    counts = np.bincount(samples.ravel())
    others = [int(v) for v in np.flatnonzero(counts) if v and v not in values]
    if others:
        shown = ", ".join(f"{v} ({counts[v]} pixels)" for v in others[:_SHOWN_VALUES])
        raise DataError(
            "a value of the mask is not listed in data.values",
            file=name,
            found=shown + (f", … ({len(others)} values)" if others[_SHOWN_VALUES:] else ""),
            expected=", ".join(map(str, sorted({0, *values})[:40])),
            fix="list it in data.values with its class, or with null to leave its pixels out",
        )
    result = np.zeros((planes + 1, *samples.shape), np.uint8)
    for value, plane in values.items():
        if value < len(counts) and counts[value]:
            result[planes if plane is None else plane] |= _equal(samples, value)
    return result[:planes], result[planes]


def labels_from_palette(samples: Samples, palette: Pixels, name: str) -> tuple[Pixels, str]:
    """Return labels uint8 (H, W) of palette indices (H, W), and what stood for 0 and 1.

    That is two grey levels, "0/255" or "0", or the colours of indices 0 and 1, "#000000/#ff0000";
    one of these is left out where the mask is empty or full.

    Args:
        samples: Indices of colours.
        palette: uint8 (n, 3), RGB.
        name: The file, for messages.

    Raises:
        DataError: It has other values, or light and index contradict each other.

    Example:
        >>> white_first = np.array([[255, 255, 255], [0, 0, 0]], np.uint8)
        >>> labels_from_palette(np.array([[0, 1]], np.uint8), white_first, "a.gif")
        (array([[1, 0]], dtype=uint8), '0/255')
    """
    used = sorted(set(_two_values(samples, name)))
    if used[-1] >= len(palette):
        found = f"index {used[-1]} of {len(palette)} colours"
        raise DataError("the mask's palette has too few colours", file=name, found=found, fix=_FIX)
    colours = palette[used]
    if not _is_grey(colours) or (len(palette) == 2 and not _is_grey(palette)):
        return _by_index(samples, used, palette, name)
    if len(used) == 1:
        return _of_one_grey(samples, used[0], palette, name)
    dark, light = sorted(int(level) for level in colours[:, 0])
    if used == [0, 1] and dark == light:  # a palette of no meaning: the index has one
        return _equal(samples, 1), _colours(used, palette)
    if used != [0, 1] and (dark != 0 or light not in (1, 255)):
        raise _other_values([dark, light], name)
    foreground = used[int(colours[:, 0].argmax())]
    return _equal(samples, foreground), f"{dark}/{light}"


def _by_index(samples: Samples, used: list[int], palette: Pixels, name: str) -> tuple[Pixels, str]:
    """Return the labels of a mask that is coloured: index 1 is foreground, unless it is black."""
    if not set(used) <= {0, 1}:
        raise _other_values(used, name, "the palette indices ")
    if 1 in used and not palette[1].any():
        raise _ambiguous(used, palette, name)
    return _equal(samples, 1), _colours(used, palette)


def _of_one_grey(samples: Samples, index: int, palette: Pixels, name: str) -> tuple[Pixels, str]:
    """Return the labels of a mask that is one grey all over: all background or all foreground."""
    level = int(palette[index, 0])
    if level in _FOREGROUND:
        label = int(level > 0)
        # Among colours, or where both are one grey, the index counts: it may say the opposite.
        by_index = not _is_grey(palette) or len(np.unique(palette[:2], axis=0)) < len(palette[:2])
        if by_index and index in (0, 1) and label != index:
            raise _ambiguous([index], palette, name)
        return np.full(samples.shape, label, np.uint8), f"0/{level}" if label else "0"
    if index == 1 and int(palette[0].max()) < level:
        return np.ones(samples.shape, np.uint8), _colours([index], palette)
    if index == 0 and len(palette) > 1 and int(palette[1].min()) > level:
        return np.zeros(samples.shape, np.uint8), _colours([index], palette)
    raise _other_values([level], name)


def _two_values(samples: Samples, name: str) -> tuple[int, int]:
    """Return the lowest and the highest value of samples that hold no other."""
    low, high = int(samples.min()), int(samples.max())
    count = np.count_nonzero(samples == low)
    if low != high:
        count += np.count_nonzero(samples == high)
    if count != samples.size:
        raise _other_values(np.unique(samples).tolist(), name)
    return low, high


def _equal(samples: Samples, value: int) -> Pixels:
    return np.asarray(samples == value).view(np.uint8)


def _is_grey(colours: Pixels) -> bool:
    return bool((colours == colours[:, :1]).all())


def _colours(used: list[int], palette: Pixels) -> str:
    return "/".join(f"#{palette[k].tobytes().hex()}" if k in used else "" for k in (0, 1))


def _other_values(values: list[int], name: str, what: str = "") -> DataError:
    shown = ", ".join(str(value) for value in values[:_SHOWN_VALUES])
    more = f", … ({len(values)} values)" if len(values) > _SHOWN_VALUES else ""
    return DataError(
        "not a mask's values",
        file=name,
        found=f"{what}{shown}{more}",
        expected=_EXPECTED,
        fix="store the masks as PNG, in grey: 0 for background, 255 for foreground; a JPEG does "
        "not keep such values",
    )


def _ambiguous(used: list[int], palette: Pixels, name: str) -> DataError:
    colours = ", ".join(f"{k} is #{palette[k].tobytes().hex()}" for k in used)
    return DataError(
        "the mask's palette does not say which colour is foreground",
        file=name,
        found=f"index {colours}, among other colours" if len(used) == 1 else f"index {colours}",
        expected="index 0 for background, or black and white",
        fix=_FIX,
    )
