"""fold: the split -> the folder of what one fold's training starts from, besides images.

It counts the fold's images. `transfer` may add first weights to the folder: `train` depends on the
folder as a whole, because in DVC a dependency cannot come and go with a parameter.
"""

import json

from darkroom.project import files
from darkroom.stages._context import Context
from darkroom.stages._split import read_split, require_fold


def run(context: Context, fold: int = 0) -> None:
    """Count the images that a fold trains on and validates on."""
    name, paths = context.name, context.paths
    folds = read_split(paths)[0]["fold"]
    require_fold(folds, fold)
    validated = int((folds == fold).sum())
    counts = {"fold": fold, "train": len(folds) - validated, "validate": validated}
    files.write(paths.fold_counts(fold), json.dumps(counts) + "\n")
    print(f"{name}, fold {fold}: trains on {counts['train']} images, validates on {validated}")
