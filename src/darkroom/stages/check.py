"""check: a submission -> what its judge would say of it. A command, not a stage of the graph."""

from pathlib import Path
from typing import cast

from darkroom import index
from darkroom.errors import ArtifactError
from darkroom.layout import Layout
from darkroom.stages import pictures, setting
from darkroom.submission.check import Kind, Report, check


def run(name: str, file: Path | None = None) -> None:
    """Verify a submission and print what was found; raise ArtifactError if it is at fault."""
    paths = setting.read(name).paths
    path = file or setting.require(paths.submission, "predict", name)
    report = verify(paths, path)
    if not report.ok:
        raise ArtifactError(
            f"{report.fault_count} faults in {report.rows} rows",
            file=path,
            details=[str(fault) for fault in report.faults],
        )
    told = "".join(f", {what} {value:.4g}" for what, value in report.facts.items())
    print(f"{path}: right: {report.rows} rows, every id once, every value legal{told}")


def verify(paths: Layout, path: Path) -> Report:
    """Return what the check of a submission found, against the index of its competition."""
    known = index.read(paths.index, paths.card)
    ids = known.rows.loc[known.rows["part"] == "test", "id"].tolist()
    card = known.card
    sizes = None
    if card.task == "segmentation":
        shards, _ = pictures.of(paths, known, "test")
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
