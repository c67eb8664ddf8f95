"""decision.json: the threshold and the test-time augmentation, from evaluate to predict.

A threshold fits the predictions that it was chosen on: with other transforms or tiles, another
one would be best. So both are decided once, by evaluate, and predict takes them as they are.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import ArtifactError, ParamsError
from darkroom.prediction.tiles import Tiles
from darkroom.prediction.tta import TTA
from darkroom.project.checked_json import read_json, write_json

DEFAULT_THRESHOLD = 0.5
WITHOUT_THRESHOLD = ("multiclass", "regression")  # the greatest class, or the value itself


@dataclass(frozen=True)
class Decision:
    """What evaluate decided.

    Attributes:
        threshold: A pixel or label is present if its probability is greater; 0 < threshold < 1.
        tta: The test-time augmentation that the threshold was chosen with.
    """

    threshold: float
    tta: TTA


def write_decision(path: Path, threshold: float | None, tta: TTA) -> None:
    """Write the decision; the threshold is None for a task that needs none."""
    tiles = None if tta.tiles is None else vars(tta.tiles)
    values = {"threshold": threshold, "tta": tta.transforms, "scales": tta.scales, "tiles": tiles}
    write_json(path, values)


def read_decision(path: Path, name: str, task: str) -> Decision:
    """Return the decision for a competition; 0.5 stands for a threshold that is not needed.

    Args:
        path: Of decision.json.
        name: The competition, for messages.
        task: A task that needs a threshold is refused a decision without one.

    Raises:
        ArtifactError: The file is absent or damaged.
    """
    fix = f"run `dvc repro -sf evaluate@{name}`"
    values = read_json(path, absent="it is not there", fix=fix)
    try:
        stored = values["threshold"]
        needed = task not in WITHOUT_THRESHOLD
        if needed != isinstance(stored, float) or (stored is None) == needed:
            raise ValueError(f"threshold {json.dumps(stored)} for the task {task}")
        threshold = DEFAULT_THRESHOLD if stored is None else stored
        if not 0 < threshold < 1:
            raise ValueError(f"threshold {threshold}")
        tiles = None if values["tiles"] is None else Tiles(**values["tiles"])
        return Decision(threshold, TTA(tuple(values["tta"]), tuple(values["scales"]), tiles))
    except (ParamsError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            "it is damaged: it holds no valid decision",
            file=path,
            found=error,
            fix=fix,
        ) from error
