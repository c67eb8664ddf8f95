"""summary: every submission's path, score and check, and how to see what the networks see."""

import json
from collections.abc import Mapping
from pathlib import Path

from darkroom.cli.check import refuse_foreign, verify
from darkroom.errors import ArtifactError
from darkroom.params import file
from darkroom.project.paths import PARAMS, Layout

BASELINES = ("baseline_{}", "baseline_mean_mask")


def run() -> int:
    """Print what came of each competition; return 0 if every submission is right, else 6."""
    names = file.read(Path(PARAMS)).competitions
    right = [_told(Layout(name)) for name in names]
    print("\nwhat the networks see:  make tensorboard")
    return 0 if all(right) else 6


def _told(paths: Layout) -> bool:
    """Print one competition's lines; return whether its submission is there and right."""
    print(f"\n{paths.name}")
    if not paths.submission.exists() or not paths.metrics.exists():
        print(f"  no submission yet: run `dvc repro predict@{paths.name}`")
        return False
    for part, headline in _headlines(paths):
        print(f"  {part:<11} {headline}")
    report = verify(paths, paths.submission)
    if report.ok:
        refuse_foreign(paths)
    state = "right" if report.ok else f"{report.fault_count} faults: darkroom check {paths.name}"
    print(f"  submission  {paths.submission}")
    print(f"  checked     {report.rows} rows: {state}")
    print(f"  pictures    {paths.contact_sheet} {paths.evaluation_sheet}")
    return report.ok


def _headlines(paths: Layout) -> list[tuple[str, str]]:
    """Return each part that was scored, and its headline."""
    try:
        every = json.loads(paths.metrics.read_text())
        return [(part, _headline(scores)) for part, scores in every.items()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            "it holds no scores",
            file=paths.metrics,
            found=repr(error),
            fix=f"run `dvc repro -sf evaluate@{paths.name}`",
        ) from error


def _headline(scores: Mapping[str, float | None]) -> str:
    """Return the first figure, beside what can be had without looking at the pictures."""
    name, value = next(iter(scores.items()))
    free = next((scores[key] for b in BASELINES if (key := b.format(name)) in scores), None)
    beside = "" if free is None else f" (without looking: {free:.4f})"
    return f"{name} {value:.4f}{beside} on {scores['images']} images"
