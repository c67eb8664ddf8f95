"""check: a submission -> what its judge would say of it. A command, not a stage of the graph."""

import json
from pathlib import Path
from typing import cast

from darkroom.errors import ArtifactError, ParamsError
from darkroom.index import table
from darkroom.project.files import file_sha256
from darkroom.project.paths import PARAMS, Layout
from darkroom.stages import _context
from darkroom.stages import _context as setting
from darkroom.submission.check import Kind, Report, check
from darkroom.submission.writer import card_path


def run(name: str, file: Path | None = None) -> None:
    """Verify a submission and print what was found; raise ArtifactError if it is at fault."""
    if file is None and (Path(name).suffix or "/" in name):  # which no competition's name has
        raise ParamsError(
            "the competition's name is missing before the file",
            found=f"`darkroom check {name}`",
            expected="`darkroom check NAME FILE`, the file a submission: .csv or .csv.gz",
            fix=f"run `darkroom check NAME {name}`, NAME being a competition of {PARAMS}",
        )
    paths = setting.read(name).paths
    path = file or setting.require(paths.submission, "predict", name)
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
        expected = json.loads(setting.require(facts, "predict", paths.name).read_text())["sha256"]
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
    known = table.read(paths.index, paths.card)
    ids = known.rows.loc[known.rows["part"] == "test", "id"].tolist()
    card = known.card
    sizes = None
    if card.task == "segmentation":
        shards, _ = _context.of(paths, known, "test")
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
