"""fold: the split -> the folder of what one fold's training starts from, besides images.

It counts the fold's images, and notes the digest of a metric of the user's own: `train` need not
depend on a file that few competitions have. `transfer` may add first weights to the folder: `train`
depends on the folder as a whole, because in DVC a dependency cannot come and go with a parameter.
"""

import json
from typing import Any

from darkroom.index.card import card_from_values
from darkroom.index.table import COLUMNS
from darkroom.params.section import is_own_metric
from darkroom.project import files
from darkroom.project.checked_json import read_json
from darkroom.project.paths import Fold
from darkroom.stages._context import Context
from darkroom.stages._split import read_split, require_fold
from darkroom.submission.form import cell_content
from darkroom.tasks.metrics.own import own_digests
from darkroom.tasks.metrics.specs import get_metric


def run(context: Context, fold: Fold = 0) -> None:
    """Count the images that a fold trains on and validates on."""
    name, paths = context.name, context.paths
    folds = read_split(paths)[0]["fold"]
    require_fold(folds, fold)
    validated = int((folds == fold).sum())
    counts = {"fold": fold, "train": len(folds) - validated, "validate": validated}
    fix = f"run `dvc repro -sf index@{name}`"
    values = read_json(paths.card, fix=fix)
    metric = values.get("metric", "")
    digest = {}
    if is_own_metric(metric):
        _require_room(values)
        digest = {"metric_sha256": own_digests(metric)["metric"]}
    files.write(paths.fold_counts(fold), json.dumps(counts | digest) + "\n")
    print(f"{name}, fold {fold}: trains on {counts['train']} images, validates on {validated}")


def _require_room(values: dict[str, Any]) -> None:
    """Raise if the submission has no room for what a metric of the user's own counts.

    The index has looked, too, but it does not run again when the user's file changes.
    """
    own = {key: value for key, value in values.items() if key not in ("rows", "sha256")}
    card = card_from_values(own, COLUMNS)
    cell_content(card, get_metric(card.metric, card.task))
