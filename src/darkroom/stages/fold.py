"""fold: the split -> the folder of what one fold's training starts from, besides images.

It counts the fold's images, and notes the digest of a metric of the user's own: `train` need not
depend on a file that few competitions have. `transfer` may add first weights to the folder: `train`
depends on the folder as a whole, because in DVC a dependency cannot come and go with a parameter.
"""

import json

from darkroom.project import files
from darkroom.project.checked_json import read_json
from darkroom.stages._context import Context
from darkroom.stages._split import read_split, require_fold
from darkroom.tasks.metrics.own import is_own, own_digest


def run(context: Context, fold: int = 0) -> None:
    """Count the images that a fold trains on and validates on."""
    name, paths = context.name, context.paths
    folds = read_split(paths)[0]["fold"]
    require_fold(folds, fold)
    validated = int((folds == fold).sum())
    counts = {"fold": fold, "train": len(folds) - validated, "validate": validated}
    fix = f"run `dvc repro -sf index@{name}`"
    metric = read_json(paths.card, absent="it is not there", fix=fix).get("metric", "")
    digest = {"metric_sha256": own_digest(metric)} if is_own(metric) else {}
    files.write(paths.fold_counts(fold), json.dumps(counts | digest) + "\n")
    print(f"{name}, fold {fold}: trains on {counts['train']} images, validates on {validated}")
