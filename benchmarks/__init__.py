"""Speed and scores of the pipeline, beside the usual code and beside what limits it."""

import os
from pathlib import Path

_SHARED = Path(__file__).parents[2] / "shared"

# Small real inputs, a folder a competition; they are not part of the repository.
REALDATA = Path(os.environ.get("DARKROOM_REALDATA") or _SHARED / "realdata")
# Drawn imitations of competitions with a judge each; neither are they.
CONTESTS = Path(os.environ.get("DARKROOM_CONTESTS") or _SHARED / "contests")
