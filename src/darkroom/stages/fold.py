"""fold: the split -> the folder of what one fold's training starts from, besides images.

It counts the fold's images. `transfer` may add first weights to the folder: `train` depends on the
folder as a whole, because in DVC a dependency cannot come and go with a parameter.
"""

import json

from darkroom.errors import ParamsError
from darkroom.project import files
from darkroom.project.paths import PARAMS
from darkroom.stages._context import Context
from darkroom.stages._split import read_split


def run(context: Context, fold: int = 0) -> None:
    """Count the images that a fold trains on and validates on."""
    name, paths = context.name, context.paths
    rows, _ = read_split(paths)
    folds = rows["fold"]
    validated = int((folds == fold).sum())
    if fold < 0 or not validated:
        raise ParamsError(
            f"fold {fold} has no image to validate on",
            file=PARAMS,
            found=f"folds {', '.join(map(str, sorted(set(folds.tolist()) - {-1})))}",
            fix="edit folds in params.yaml",
        )
    counts = {"fold": fold, "train": len(folds) - validated, "validate": validated}
    files.write(paths.fold_counts(fold), json.dumps(counts) + "\n")
    print(f"{name}, fold {fold}: trains on {counts['train']} images, validates on {validated}")
