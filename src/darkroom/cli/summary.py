"""summary: the path, scores and check of every submission."""

from collections.abc import Mapping
from pathlib import Path

from darkroom.cli.check import check_file, require_written
from darkroom.errors import ArtifactError
from darkroom.params import file
from darkroom.project.paths import PARAMS, Layout
from darkroom.project.score_files import baseline_of, read_scores


def run() -> int:
    """Print the results of each competition; return 0 if every submission is valid, else 6."""
    params = file.read_params(Path(PARAMS))
    layouts = [Layout(name) for name in params.competitions]
    layouts += [Layout(blend.name, first=blend.members[0]) for blend in params.blends]
    valid = [_print_competition(paths) for paths in layouts]
    print("\nreports:        make report")
    print("training runs:  make tensorboard")
    return 0 if all(valid) else 6


def _print_competition(paths: Layout) -> bool:
    """Print one competition's lines; return whether its submission is there and valid."""
    print(f"\n{paths.name}")
    if not paths.submission.exists() or not paths.metrics.exists():
        print(f"  no submission yet: run `dvc repro {paths.dvc_stage('submission')}`")
        return False
    for part, headline in _headlines(paths):
        print(f"  {part:<11} {headline}")
    report = check_file(paths, paths.submission)
    if report.ok:
        require_written(paths)
    state = "valid" if report.ok else f"{report.fault_count} faults: darkroom check {paths.name}"
    print(f"  submission  {paths.submission}")
    print(f"  checked     {report.rows} rows: {state}")
    print(f"  pictures    {paths.inputs.contact_sheet} {paths.evaluation_sheet}")
    return report.ok


def _headlines(paths: Layout) -> list[tuple[str, str]]:
    """Return the name of each scored part (validation, test) and its headline."""
    file, stage = paths.metrics, "evaluate"
    try:
        lines = [("validation", _headline(read_scores(file, paths.evaluation, "validation")))]
        file, stage = paths.test_metrics, "submission"
        on_test = read_scores(file, paths.test_evaluation)
        return [*lines, ("test", _headline(on_test))] if on_test else lines
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            "it is damaged: it holds no scores",
            file=file,
            found=error,
            fix=f"run `dvc repro -sf {paths.dvc_stage(stage)}`",
        ) from error


def _headline(scores: Mapping[str, float | None]) -> str:
    """Return the first metric beside its baseline, which does not look at the images."""
    name, value = next(iter(scores.items()))
    baseline = baseline_of(scores, name)
    beside = "" if baseline is None else f" (baseline: {baseline:.4f})"
    leaked = scores.get("leaked_images")
    mark = f", {leaked} of them LEAKED: its first weights have learned them" if leaked else ""
    shown = "is not defined" if value is None else f"{value:.4f}"
    return f"{name} {shown}{beside} on {scores['images']} images{mark}"
