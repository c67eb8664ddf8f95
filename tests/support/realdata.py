"""Where small real inputs lie, if they are at hand; tests that need them skip otherwise."""

from pathlib import Path

import pytest

REALDATA = Path(__file__).parents[3] / "shared" / "realdata"

needs_realdata = pytest.mark.skipif(
    not REALDATA.is_dir(), reason=f"real competition files are not at {REALDATA.name}/ beside us"
)
