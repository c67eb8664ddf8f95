"""decision.json: how predictions are made and cut, told by evaluate and obeyed by predict.

A threshold fits the predictions that it was chosen on: with other views of the pictures, or
other tiles, it would be another one.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from darkroom.errors import ArtifactError, ParamsError
from darkroom.params.competition import Evaluate
from darkroom.prediction.predict import How
from darkroom.prediction.tiles import Tiles
from darkroom.project import files

HALF = 0.5


@dataclass(frozen=True)
class Decision:
    """What evaluate decided.

    Attributes:
        threshold: A pixel or label is present if its probability is greater; 0 < threshold < 1.
        how: The views and tiles of each picture.
    """

    threshold: float
    how: How


def how(choice: Evaluate) -> How:
    """Return the views and tiles that the evaluate section asks for."""
    tiles = choice.tiles
    return How(
        tta=tuple(choice.tta),
        scales=tuple(choice.scales),
        tiles=None if tiles is None else Tiles(tiles.height, tiles.width, tiles.overlap),
    )


def write(path: Path, threshold: float | None, chosen: How) -> None:
    """Write the decision; None stands for a task that needs no threshold."""
    files.write(path, json.dumps({"threshold": threshold} | asdict(chosen)) + "\n")


def read(path: Path, name: str) -> Decision:
    """Return the decision of a competition.

    Raises:
        ArtifactError: The file is damaged.
    """
    try:
        told = json.loads(path.read_text())
        threshold = HALF if told["threshold"] is None else float(told["threshold"])
        if not 0 < threshold < 1:
            raise ValueError(f"threshold {threshold}")
        tiles = None if told["tiles"] is None else Tiles(**told["tiles"])
        return Decision(threshold, How(tuple(told["tta"]), tuple(told["scales"]), tiles))
    except (ParamsError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            "it holds no decision that predict could follow",
            file=path,
            found=error,
            fix=f"run `dvc repro -sf evaluate@{name}`",
        ) from error
