"""Small real inputs, where DARKROOM_REALDATA says; tests that need them skip if they are absent."""

import pytest

from benchmarks import REALDATA

__all__ = ["REALDATA", "needs_realdata"]

needs_realdata = pytest.mark.skipif(
    not REALDATA.is_dir(),
    reason="DARKROOM_REALDATA names no folder of real competition files",
)
