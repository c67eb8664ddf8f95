"""check: a submission -> what its judge would say of it. A command, not a stage of the graph."""

import json
from pathlib import Path
from typing import cast

from darkroom.errors import ArtifactError
from darkroom.index.table import read_index
from darkroom.project.files import file_sha256
from darkroom.project.paths import Layout
from darkroom.stages._context import Context, require
from darkroom.stages._inputs import read_part
from darkroom.submission.check import Kind, Report, check
from darkroom.submission.writer import card_path


def run(context: Context, file: Path | None = None) -> None:
    """Verify a submission and print what was found; raise ArtifactError if it is at fault."""
    paths = context.paths
    path = file or require(paths.submission, "predict", context.name)
    report = verify(paths, path)
    if not report.ok:
        raise ArtifactError(
            f"{report.fault_count} faults in {report.rows} rows",
            file=path,
            details=[str(fault) for fault in report.faults],
        )
    if file is None:
        refuse_foreign(paths)
    told = "".join(f", {what} {value:.4g}" for what, value in report.facts.items())
    print(f"{path}: right: {report.rows} rows, every id once, every value legal{told}")


def refuse_foreign(paths: Layout) -> None:
    """Raise ArtifactError unless the submission is the one that its facts were written with."""
    facts, again = card_path(paths.submission), f"run `dvc repro -sf predict@{paths.name}`"
    try:
        expected = json.loads(require(facts, "predict", paths.name).read_text())["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError("it is damaged", file=facts, found=repr(error), fix=again) from error
    found = file_sha256(paths.submission)
    if found != expected:
        raise ArtifactError(
            "it is not the file that was predicted",
            file=paths.submission,
            found=f"sha256 {found}",
            expected=f"sha256 {expected}, as {facts} says",
            fix=again,
        )


def verify(paths: Layout, path: Path) -> Report:
    """Return what the check of a submission found, against the index of its competition."""
    known = read_index(paths.index, paths.card)
    ids = known.rows.loc[known.rows["part"] == "test", "id"].tolist()
    card = known.card
    sizes = None
    if card.task == "segmentation":
        shards, _ = read_part(paths, known, "test")
        heights_and_widths = [(int(height), int(width)) for height, width in shards.originals]
        sizes = dict(zip(shards.ids, heights_and_widths, strict=True))
    return check(
        path,
        header=card.header,
        ids=ids,
        kind=cast(Kind, card.task),
        sizes=sizes,
        labels=card.classes or card.label_values,
    )
