"""Speed of the pipeline, beside the usual code for the same work and beside what limits it."""

import os
from pathlib import Path

# Small real inputs, a folder a competition; they are not part of the repository.
REALDATA = Path(
    os.environ.get("DARKROOM_REALDATA") or Path(__file__).parents[2] / "shared" / "realdata"
)
