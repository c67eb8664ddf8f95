"""Scores on disk: what `dvc metrics` shows in one file, and what says more about it beside it.

`metrics.json` and `test_metrics.json` hold scores alone, so that a table of many runs stays
narrow: each metric, the cross-fitted score, and the baseline of the metric that the judge counts.
`evaluation.json` and `test_evaluation.json` hold the rest: how many images there are, thresholds,
other baselines, the spread over images.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.project import files

_NO_SCORES = ("images", "attributes", "targets", "threshold", "temperature", "leaked_images")
_DETAIL = re.compile("|".join((r"baseline_.+", r".+_(of|at_half|median|lowest)", *_NO_SCORES)))


def split_scores(scores: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the scores alone, and the rest; both in the order given.

    Args:
        scores: By name; the first is the metric that the judge counts.

    Example:
        >>> split_scores({"dice": 0.9, "baseline_dice": 0.8, "threshold": 0.5, "images": 8})
        ({'dice': 0.9, 'baseline_dice': 0.8}, {'threshold': 0.5, 'images': 8})
    """
    first = next(iter(scores), "")
    shown = {first, next((name for name in _baselines(first) if name in scores), first)}
    alone = {
        name: value
        for name, value in scores.items()
        if name in shown or not _DETAIL.fullmatch(name)
    }
    return alone, {name: value for name, value in scores.items() if name not in alone}


def score_names(scores: Mapping[str, Any]) -> list[str]:
    """Return the names of the scores alone, without baselines.

    Example:
        >>> score_names({"dice": 0.9, "baseline_dice": 0.8, "dice_median": 0.9, "iou": 0.8})
        ['dice', 'iou']
    """
    return [name for name in split_scores(scores)[0] if not name.startswith("baseline_")]


def baseline_of(scores: Mapping[str, Any], name: str) -> float | None:
    """Return the score of what does not look at the image; None where there is none.

    Args:
        scores: By name.
        name: Of one of them.

    Example:
        >>> baseline_of({"dice": 0.9, "baseline_mean_mask": 0.6}, "dice")
        0.6
    """
    values = (scores.get(key) for key in _baselines(name))
    return next((float(value) for value in values if value is not None), None)


def _baselines(metric: str) -> tuple[str, ...]:
    """Return the names that the baseline of a metric may have, the best first."""
    return f"baseline_{metric}", *(["baseline_mean_mask"] if metric == "dice" else [])


def write_scores(file: Path, rest_file: Path, scores: Mapping[str, Any], part: str = "") -> None:
    """Write scores, and what says more about them, each atomically.

    Args:
        file: For `dvc metrics`.
        rest_file: For the rest.
        scores: By name.
        part: The key below which both files hold them; "": the files hold them alone.
    """
    for path, values in zip((file, rest_file), split_scores(scores), strict=True):
        files.write(path, json.dumps({part: values} if part else values, indent=2) + "\n")


def read_scores(file: Path, rest_file: Path, part: str = "") -> dict[str, Any]:
    """Return scores and the rest, the metric that the judge counts first; {}: there are none.

    Args:
        file: What `write_scores` wrote, or an earlier version of Darkroom, which wrote one file.
        rest_file: Likewise; it may be absent.
        part: The key below which the files hold them.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: A file is damaged.
    """
    whole: dict[str, Any] = {}
    for path in (file, rest_file):
        if path.exists():
            values = json.loads(path.read_bytes())
            whole |= dict((values[part] if part else values).items())
    return whole
