"""check: a submission -> its faults, as the competition would find them."""

from pathlib import Path
from typing import cast

from darkroom.errors import ArtifactError
from darkroom.index.table import read_index
from darkroom.params.section import TaskName
from darkroom.project.checked_json import read_json
from darkroom.project.files import file_sha256
from darkroom.project.paths import Layout
from darkroom.stages._context import Context, require
from darkroom.stages._inputs import read_part
from darkroom.submission.check import Report, check_submission
from darkroom.submission.writer import facts_path


def run(context: Context, file: Path | None = None) -> None:
    """Check a submission and print the result; raise ArtifactError if it has faults."""
    paths = context.paths
    path = file or require(paths.submission, "predict", context.name)
    report = check_file(paths, path)
    if not report.ok:
        raise ArtifactError(
            f"{report.fault_count} faults in {report.rows} rows",
            file=path,
            details=[str(fault) for fault in report.faults],
        )
    if file is None:
        require_predicted(paths)
    measured = "".join(f", {what} {value:.4g}" for what, value in report.facts.items())
    print(f"{path}: valid: {report.rows} rows, every id once, every value legal{measured}")


def require_predicted(paths: Layout) -> None:
    """Raise ArtifactError unless the submission is the file that its facts describe."""
    facts, fix = facts_path(paths.submission), f"run `dvc repro -sf predict@{paths.name}`"
    expected = read_json(facts, absent="it is not there", fix=fix).get("sha256")
    sha256 = file_sha256(paths.submission)
    if sha256 != expected:
        raise ArtifactError(
            "it is not the file that was predicted",
            file=paths.submission,
            found=f"sha256 {sha256}",
            expected=f"sha256 {expected}, as {facts} says",
            fix=fix,
        )


def check_file(paths: Layout, path: Path) -> Report:
    """Return the result of checking a submission against the index of its competition."""
    index = read_index(paths.index, paths.card)
    ids = index.rows.loc[index.rows["part"] == "test", "id"].tolist()
    card = index.card
    sizes = None
    if card.task == "segmentation":
        shards, _ = read_part(paths, index, "test")
        heights_and_widths = [(int(height), int(width)) for height, width in shards.originals]
        sizes = dict(zip(shards.ids, heights_and_widths, strict=True))
    return check_submission(
        path,
        header=card.header,
        ids=ids,
        kind=cast(TaskName, card.task),
        sizes=sizes,
        labels=card.classes or card.label_values,
    )
