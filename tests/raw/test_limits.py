"""Limits that no honest archive may meet."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import DataError
from darkroom.raw import limits

MASKS = 5000


@pytest.mark.parametrize("radius", [0, 20, 60])
def test_masks_in_files_that_do_not_compress_them_may_be_zipped(radius: int) -> None:
    """A BMP or TIFF of 768 x 768 px, empty or with a disc, is deflated to a 200th or less."""
    mask = (np.hypot(*np.mgrid[-384:384, -384:384]) < radius).astype(np.uint8) * 255
    packed = 76 + len(zlib.compress(mask.tobytes(), 9))  # with what a zip says of a member
    assert mask.size > 200 * packed
    limits.refuse_ratio(MASKS * mask.size, MASKS * packed, Path("masks.zip"), "")


def test_what_only_zeros_and_overlaps_reach_is_refused_above_4_gb() -> None:
    limits.refuse_ratio(1000 * 2**22, 10, Path("a.zip"), "")
    with pytest.raises(DataError, match="unpacks to more than any set of images would"):
        limits.refuse_ratio(1000 * 2**22 + 1, 10, Path("a.zip"), "unpack it")
    with pytest.raises(DataError, match="at most 1,073,741,824,000 bytes"):
        limits.refuse_ratio(1001 * 2**30, 2**30, Path("a.zip"), "unpack it")
