"""Verify a submission before its upload: the file is valid, and made from committed files."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from darkroom.cli import check
from darkroom.cli.preflight import provenance
from darkroom.cli.preflight.provenance import Commit
from darkroom.errors import ArtifactError, ParamsError
from darkroom.params import file as paramfile
from darkroom.params.data import SAMPLE, Source
from darkroom.project.checked_json import read_json
from darkroom.project.paths import PARAMS, Layout
from darkroom.project.score_files import read_scores
from darkroom.remote.kaggle.responses import MAX_SCORE
from darkroom.stages._context import Context, require
from darkroom.submission.writer import facts_path

_DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class SubmissionFile:
    """A valid submission, and its provenance.

    Attributes:
        competition: Kaggle's name of it.
        sections: Those of params.yaml for this competition.
        paths: Of the project.
        rows: Without the header; 0 of a notebook, which writes them on Kaggle.
        size: Of the file, or of a notebook's files, bytes.
        sha256: Of the same.
        fingerprint: Of the prediction; empty for a notebook.
        commit: Of git; None without one.
        metric: What the local score measures.
        local: The score on the validation images; None if it may be of other models.
    """

    competition: str
    sections: tuple[str, ...]
    paths: Layout
    rows: int
    size: int
    sha256: str
    fingerprint: str
    commit: Commit | None
    metric: str
    local: float | None


def verify_submission(context: Context, *, uncommitted: bool) -> SubmissionFile:
    """Return a competition's submission, after every check that needs no server, fast ones first.

    Args:
        context: The competition.
        uncommitted: Whether to accept a file that the committed parameters do not reproduce.

    Raises:
        ParamsError: It has no competition on Kaggle, or something is not committed.
        ArtifactError: The file has faults, or is not what the parameters make.
    """
    paths = context.paths
    competition = kaggle_competition(context.name, context.section.data)
    _require_no_sample(context.name, context.section.data)
    commit = provenance.read_commit(paths.root)
    if not uncommitted:
        _require_committed(commit, paths.root)
    # Read the facts before the check: if the file changes meanwhile, its sha256 will differ.
    file = _read_facts(competition, paths, commit)
    check.run(context)
    outdated = _outdated_stages(paths, "submission", uncommitted=uncommitted)
    if outdated and not uncommitted:
        raise _outdated_error(paths, "submission", paths.submission, outdated)
    return replace(file, local=None) if outdated else file


def verify_models(context: Context, *, uncommitted: bool) -> SubmissionFile:
    """Return what is known of a competition's models as a submission, without its contents.

    Raises:
        ParamsError: It has no competition on Kaggle, or something is not committed.
        ArtifactError: The models or their score are not what the parameters make.
    """
    paths = context.paths
    competition = kaggle_competition(context.name, context.section.data)
    _require_no_sample(context.name, context.section.data)
    commit = provenance.read_commit(paths.root)
    if not uncommitted:
        _require_committed(commit, paths.root)
    outdated = _outdated_stages(paths, "evaluate", uncommitted=uncommitted)
    if outdated and not uncommitted:
        raise _outdated_error(paths, "evaluate", paths.decision, outdated)
    metric, local = _read_score(paths)
    return SubmissionFile(
        competition=competition,
        sections=_sections(competition),
        paths=paths,
        rows=0,
        size=0,
        sha256="",
        fingerprint="",
        commit=commit,
        metric=metric,
        local=None if outdated else local,
    )


def with_contents(file: SubmissionFile, *, size: int, sha256: str) -> SubmissionFile:
    """Return a submission whose contents are known now."""
    return replace(file, size=size, sha256=sha256)


def _require_hex(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(f"{str(value)[:80]!r}: not 64 hexadecimal digits")
    return value


def _require_score(value: object) -> float:
    score = float(value) if isinstance(value, int | float) else math.nan
    if not abs(score) <= MAX_SCORE:
        raise ValueError(f"{str(value)[:80]!r}: not a score")
    return score


def kaggle_competition(name: str, data: Source) -> str:
    """Return Kaggle's name of a section's competition; raise ParamsError if it has none."""
    if data.kaggle is None or "/" in data.kaggle:
        kind = ", a data set" if data.kaggle else ""
        raise ParamsError(
            "there is no competition to submit to",
            file=PARAMS,
            found=f"{name}.data.kaggle: {data.kaggle or 'null'}{kind}",
            expected="the name of a Kaggle competition, as in its address",
        )
    return data.kaggle


def _require_no_sample(name: str, data: Source) -> None:
    if data.source == SAMPLE:
        raise ParamsError(
            "the submission is for the drawn sample, which is not on Kaggle",
            file=PARAMS,
            found=f"{name}.data.source: sample",
            expected="`kaggle`, or the folder that holds the raw files",
            fix=f"edit it, then run `dvc repro submission@{name}`",
        )


def _require_committed(commit: Commit | None, root: Path) -> None:
    if commit is None:
        found, fix = provenance.explain_no_commit(root)
        raise ParamsError(
            "without a commit, the submission could not be reproduced later",
            found=found,
            fix=f"{fix}, or add --uncommitted",
        )
    if commit.changed:
        raise ParamsError(
            "what the submission is made from is not committed",
            details=commit.changed,
            fix="commit these files, or add --uncommitted",
        )


def _outdated_stages(paths: Layout, goal: str, *, uncommitted: bool) -> Sequence[str]:
    """Return the stages that a goal needs, itself included, whose outputs are not up to date."""
    stage = paths.dvc_stage(goal)
    try:
        return provenance.outdated_stages(paths.root, stage)
    except ArtifactError:
        if not uncommitted:
            raise
        return [stage]  # unknown, so do not rely on the local score


def _outdated_error(paths: Layout, goal: str, file: Path, stages: Sequence[str]) -> ArtifactError:
    return ArtifactError(
        "it is not what the parameters make: these stages have changed since",
        file=file,
        details=stages,
        fix=f"run `dvc repro {paths.dvc_stage(goal)}`, or add --uncommitted",
    )


def _sections(competition: str) -> tuple[str, ...]:
    """Return the sections of params.yaml that are of a competition."""
    sections = paramfile.read_params(Path(PARAMS)).sections
    return tuple(name for name, each in sections.items() if each.data.kaggle == competition)


def _damaged(paths: Layout, path: Path, stage: str, error: Exception) -> ArtifactError:
    fix = f"run `dvc repro -sf {paths.dvc_stage(stage)}`"
    return ArtifactError("it is damaged", file=path, found=error, fix=fix)


def _read_score(paths: Layout) -> tuple[str, float | None]:
    """Return the metric of the validation images, and its value; None: it is not known."""
    path = require(paths.metrics, "evaluate", paths.name)
    try:
        metric, local = next(iter(read_scores(path, path, "validation").items()))
        scores = read_scores(path, paths.evaluation, "validation")
        if scores.get("leaked_images"):  # not to be compared with scores of new images
            metric = f"{metric} (leaked)"
        return str(metric), None if local is None else _require_score(local)
    except _DAMAGE as error:
        raise _damaged(paths, path, "evaluate", error) from error


def _read_facts(competition: str, paths: Layout, commit: Commit | None) -> SubmissionFile:
    path = facts_path(paths.submission)
    facts = read_json(path, fix=f"run `dvc repro -sf {paths.dvc_stage('submission')}`")
    require(paths.metrics, "evaluate", paths.name)
    try:
        rows, size = int(facts["rows"]), int(facts["bytes"])
        sha256, fingerprint = (_require_hex(facts[key]) for key in ("sha256", "fingerprint"))
    except _DAMAGE as error:
        raise _damaged(paths, path, "submission", error) from error
    metric, local = _read_score(paths)
    return SubmissionFile(
        competition=competition,
        sections=_sections(competition),
        paths=paths,
        rows=rows,
        size=size,
        sha256=sha256,
        fingerprint=fingerprint,
        commit=commit,
        metric=metric,
        local=local,
    )
