"""Drawn contests with a judge each, where DARKROOM_CONTESTS says; without them tests skip."""

import pytest

from benchmarks import CONTESTS

__all__ = ["CONTESTS", "needs_contests"]

needs_contests = pytest.mark.skipif(
    not CONTESTS.is_dir(),
    reason="DARKROOM_CONTESTS names no folder of drawn contests",
)
