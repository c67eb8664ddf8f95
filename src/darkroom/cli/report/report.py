"""report: what a run has learned -> one HTML file; or how two runs differ."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from darkroom.cli.main import read_context
from darkroom.cli.report import page
from darkroom.cli.report.comparison import comparison_pages
from darkroom.cli.report.counts import count_predictions
from darkroom.cli.report.evidence import Evidence, read_evidence, score_folds
from darkroom.cli.report.originals import open_originals
from darkroom.cli.report.page import Page, Section
from darkroom.cli.report.runs import Run, commits_of_runs, read_here, read_of_revision, read_run
from darkroom.cli.report.sections.audit import audit_section
from darkroom.cli.report.sections.classes import (
    classes_section,
    confusion_section,
    probability_section,
)
from darkroom.cli.report.sections.pictures import pictures_section
from darkroom.cli.report.sections.provenance import provenance_section
from darkroom.cli.report.sections.scores import (
    curves_section,
    members_section,
    params_section,
    score_section,
    score_tiles,
)
from darkroom.errors import ArtifactError
from darkroom.params import file
from darkroom.project import files
from darkroom.project.packages import missing_modules
from darkroom.project.paths import PARAMS
from darkroom.stages._context import Context

FILE, COMPARISON = "report.html", "compare.html"
HERE, LAST_RUN = "now", "the last commit"
SHORT = 7  # digits of a commit


def run(runs: Sequence[str]) -> None:
    """Write the report of a run, or the comparison of two.

    Args:
        runs: A competition or blend of params.yaml; or two of these, of revisions or experiments;
            none: all that params.yaml lists.

    Raises:
        ParamsError: There is no such run.
        ArtifactError: Its results are not there, or are of other parameters.
    """
    if len(runs) < 2:
        for name in runs or _listed():
            context = read_context(name)
            _write(context.paths.reports / FILE, report_page(context))
        return
    for name, each in comparison_pages(runs[0], runs[1]):
        _write(Path("reports") / name / COMPARISON, each)


def _listed() -> list[str]:
    """Return the competitions and blends that params.yaml lists."""
    params = file.read_params(Path(PARAMS))
    return [*params.competitions, *(blend.name for blend in params.blends)]


def _write(path: Path, content: Page) -> None:
    text = page.render(content)
    files.write(path, text)
    print(f"{path}  ({len(text) / 1e6:.1f} MB)")


def report_page(context: Context) -> Page:
    """Return the page of one competition or blend, as it lies here."""
    name = context.name
    print(f"{name}: reading its results", file=sys.stderr)
    result = read_run(HERE, name, read_here)
    if result is None:
        raise ArtifactError(
            "it has no scores yet",
            file=context.paths.metrics,
            fix=f"run `dvc repro {context.paths.dvc_stage('evaluate')}` first",
        )
    evidence = read_evidence(context)
    earlier, why_none = read_committed(result)
    tiles = tuple(score_tiles(result, earlier, evidence.spec))
    sections = tuple(_sections(evidence, result, earlier, why_none))
    return Page(f"{name}: report", _subtitle(evidence), tiles, sections)


def read_committed(result: Run) -> tuple[Run | None, str]:
    """Return the last committed run that is another one; or None, and why there is none."""
    if missing_modules("dvc"):
        return None, "DVC is not installed"
    commits = commits_of_runs()
    if not commits:
        return None, "dvc.lock, which says what a run left, is in no commit"
    unreadable = 0
    for place, commit in enumerate(commits):
        label = LAST_RUN if place == 0 else f"commit {commit[:SHORT]}"
        try:
            reader = read_of_revision(commit)
        except ArtifactError:
            return None, "this is no project of git and DVC"
        try:
            earlier = read_run(label, result.name, reader)
        except ArtifactError:
            unreadable += 1
            continue
        if earlier is not None and not earlier.is_same(result):
            return earlier, ""
    why = f"the last {len(commits)} commits of dvc.lock have no other scores of it"
    return None, f"{why}; {unreadable} of them cannot be read" if unreadable else why


def _sections(
    evidence: Evidence, result: Run, earlier: Run | None, why_none: str
) -> Iterator[Section]:
    context, spec = evidence.context, evidence.spec
    folds = score_folds(evidence, result)
    yield score_section(result, earlier, folds, spec, why_none)
    counts = count_predictions(evidence)
    names = evidence.card.names or evidence.card.classes or evidence.card.label_values
    sections: list[Section | None] = [
        members_section(context.paths),
        params_section(result, earlier, why_none),
        curves_section([result]),
        classes_section(result, counts),
        confusion_section(result, names),
        probability_section(result, counts, evidence.decision, spec),
    ]
    print(f"{context.name}: reading raw pictures", file=sys.stderr)
    with open_originals(evidence) as originals:
        sections += [pictures_section(originals, result), audit_section(originals)]
    sections.append(provenance_section(evidence))
    yield from (section for section in sections if section is not None)


def _subtitle(evidence: Evidence) -> str:
    context, card = evidence.context, evidence.card
    count = len(card.outputs)
    kind = {
        "segmentation": f"masks of {count} classes" if count > 1 else "masks",
        "multilabel": page.plural(count, "label"),
        "multiclass": page.plural(count, "class"),
        "regression": page.plural(count, "number"),
        "binary": "yes or no",
    }[card.task]
    folds = "fold" if len(context.folds) == 1 else "folds"
    folds = f"{folds} {', '.join(map(str, context.folds))}"
    if context.blend is not None:
        network = f"{context.blend.method} blend of {', '.join(m.name for m in context.members)}"
    else:
        network = context.section.model.name
    size = f"{evidence.shards.width} × {evidence.shards.height} px"
    return f"{kind} · {evidence.spec.name} · {network} · {size} · {folds}"
