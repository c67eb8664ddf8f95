"""check: a submission -> its faults, as the competition would find them."""

from pathlib import Path

from darkroom.errors import ArtifactError
from darkroom.index.table import Index, read_index
from darkroom.project.checked_json import read_json
from darkroom.project.files import file_sha256
from darkroom.project.paths import Layout
from darkroom.stages._context import Context
from darkroom.stages._inputs import read_part
from darkroom.submission.cell_checks import Limits, training_limits
from darkroom.submission.check import Report, check_submission
from darkroom.submission.form import cell_content
from darkroom.submission.writer import facts_path
from darkroom.tasks.metrics.specs import MetricSpec, get_metric


def run(context: Context, file: Path | None = None) -> None:
    """Check a submission and print the result; raise ArtifactError if it has faults."""
    paths = context.paths
    if file is None and not paths.submission.exists():
        fix = f"run `dvc repro {paths.dvc_stage('submission')}` first"
        raise ArtifactError("it is not there", file=paths.submission, fix=fix)
    path = file or paths.submission
    report = check_file(paths, path, ours=file is None)
    if not report.ok:
        raise ArtifactError(
            f"{report.fault_count} faults in {report.rows} rows",
            file=path,
            details=[str(fault) for fault in report.faults],
        )
    if file is None:
        require_written(paths)
    if report.is_sample:
        print(f"{path}: valid: {report.rows} rows, the competition's own sample submission")
        return
    measured = "".join(f", {what} {value:.4g}" for what, value in report.facts.items())
    ids = "every id" if "objects an image" in report.facts else "every id once"
    print(f"{path}: valid: {report.rows} rows, {ids}, every value legal{measured}")
    for warning in report.warnings:
        print(f"{path}: warning: {warning}")


def require_written(paths: Layout) -> None:
    """Raise ArtifactError unless the submission is the file that its facts describe."""
    facts, fix = (
        facts_path(paths.submission),
        f"run `dvc repro -sf {paths.dvc_stage('submission')}`",
    )
    expected = read_json(facts, fix=fix).get("sha256")
    sha256 = file_sha256(paths.submission)
    if sha256 != expected:
        raise ArtifactError(
            "it is not the file that was written",
            file=paths.submission,
            found=f"sha256 {sha256}",
            expected=f"sha256 {expected}, as {facts} says",
            fix=fix,
        )


def check_file(paths: Layout, path: Path, *, ours: bool = True) -> Report:
    """Return the result of checking a submission against the index of its competition.

    Args:
        paths: Where the competition's files lie.
        path: The submission.
        ours: Whether it is Darkroom's own file, whose rows and columns have an order.
    """
    index = read_index(paths.index, paths.card, ("id", "part"))
    metric = get_metric(index.card.metric, index.card.task)
    test = index.rows.loc[index.rows["part"] == "test", "id"].tolist()
    limits = _limits(paths, index, metric)
    return check_submission(path, index.card, metric, test, limits, ours=ours)


def _limits(paths: Layout, index: Index, metric: MetricSpec) -> Limits:
    """Return what the index and the stored images say of the answers."""
    card = index.card
    content = cell_content(card, metric)
    if content == "runs" and card.runs.size is None:
        shards, _ = read_part(paths, index, "test")
        sizes = [(int(height), int(width)) for height, width in shards.originals]
        return Limits(dict(zip(shards.ids, sizes, strict=True)))
    return training_limits(card, content, index.rows)
